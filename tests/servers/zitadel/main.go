// An authorization server with the example of the library zitadel/oidc, which stores everything in memory. It also has
// the API that needs an access token.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
)

type setup struct {
	Origin  string
	Clients []struct {
		ID, Secret, RedirectURI string
	}
	User struct {
		Username, Password string
	}
}

// users has one user.
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

func main() {
	var told setup
	if err := json.Unmarshal([]byte(os.Getenv("SETUP")), &told); err != nil {
		log.Fatal(err)
	}
	for _, client := range told.Clients {
		// A web client has a secret. A native one has none.
		registered := storage.NativeClient(client.ID, client.RedirectURI)
		if client.Secret != "" {
			registered = storage.WebClient(client.ID, client.Secret, client.RedirectURI)
		}
		storage.RegisterClients(registered)
	}
	known := storage.NewStorage(users{&storage.User{
		ID:        told.User.Username,
		Username:  told.User.Username,
		Password:  told.User.Password,
		FirstName: "Alice",
		LastName:  "Liddell",
	}})
	// The example logs every request.
	quiet := slog.New(slog.DiscardHandler)
	router := exampleop.SetupServer(told.Origin, known, quiet, false)
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
