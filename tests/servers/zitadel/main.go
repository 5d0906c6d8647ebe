// An authorization server with the example of the library zitadel/oidc, which stores everything in memory. It also has
// the API that needs an access token.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

type setup struct {
	Origin  string
	Clients []*registration
	User    struct {
		Username, Password string
	}
}

type registration struct {
	ID, Secret, RedirectURI, PostLogoutRedirectURI string
	Auth                                           oidc.AuthMethod
	PublicKey                                      *jose.JSONWebKey
}

// users is a store with one user.
type users struct{ *storage.User }

func (u users) GetUserByID(id string) *storage.User {
	if id == u.ID {
		return u.User
	}
	return nil
}

func (u users) GetUserByUsername(name string) *storage.User {
	return u.GetUserByID(name)
}

func (users) ExampleClientID() string { return storage.ServiceUserID }

// client is a client of the example with settings that the example does not have.
type client struct {
	op.Client
	told *registration
}

func (c client) AuthMethod() oidc.AuthMethod { return c.told.Auth }

func (c client) PostLogoutRedirectURIs() []string {
	return []string{c.told.PostLogoutRedirectURI}
}

func (c client) GrantTypes() []oidc.GrantType {
	return append(c.Client.GrantTypes(), oidc.GrantTypeDeviceCode)
}

// store is the example's storage with these clients.
type store struct {
	*storage.Storage
	clients map[string]*registration
}

func (s store) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	found, err := s.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	return client{found, s.clients[id]}, nil
}

func (s store) GetKeyByIDAndClientID(_ context.Context, kid, id string) (*jose.JSONWebKey, error) {
	told := s.clients[id]
	if told == nil || told.PublicKey == nil || told.PublicKey.KeyID != kid {
		return nil, errors.New("no such key")
	}
	return told.PublicKey, nil
}

func main() {
	var told setup
	if err := json.Unmarshal([]byte(os.Getenv("SETUP")), &told); err != nil {
		log.Fatal(err)
	}
	clients := map[string]*registration{}
	for _, c := range told.Clients {
		clients[c.ID] = c
		registered := storage.WebClient(c.ID, c.Secret, c.RedirectURI)
		if c.Auth == oidc.AuthMethodNone {
			registered = storage.NativeClient(c.ID, c.RedirectURI)
		}
		storage.RegisterClients(registered)
	}
	alice := users{&storage.User{
		ID:        told.User.Username,
		Username:  told.User.Username,
		Password:  told.User.Password,
		FirstName: "Alice",
		LastName:  "Liddell",
	}}
	// The example logs every request.
	quiet := slog.New(slog.DiscardHandler)
	router := exampleop.SetupServer(told.Origin, store{storage.NewStorage(alice), clients}, quiet, false)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/me" {
			r.URL.Path = "/userinfo"
		}
		router.ServeHTTP(w, r)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("{\"port\": %d}\n", listener.Addr().(*net.TCPAddr).Port)
	log.Fatal(http.Serve(listener, handler))
}
