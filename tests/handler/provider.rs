//! A simulated identity provider.

use std::collections::{BTreeMap, VecDeque};

use rules::Secret;
use rules::base::http::{HttpReply, HttpRequest};
use rules::codec::form;

use crate::crypto::Pair;
pub(crate) use kit::reply::json;

pub(crate) const ISSUER: &str = "https://id.example.com";

/// A request as it arrived at the provider.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    pub(crate) path: String,
    pub(crate) params: BTreeMap<String, String>,
    pub(crate) authorization: Option<String>,
    pub(crate) proof: Option<String>,
}

pub(crate) struct Provider {
    pub(crate) key: Pair,
    /// JSON members that are added to the discovery document, or replace members of the document.
    pub(crate) metadata: String,
    /// JSON members that are added to the claims of ID tokens, or replace claims.
    pub(crate) claims: String,
    /// The header of ID tokens.
    pub(crate) header: &'static str,
    /// The ID under which the key is published.
    pub(crate) published_kid: &'static str,
    pub(crate) subject: String,
    /// A string at the end of each access token and refresh token.
    pub(crate) padding: String,
    /// A string at the end of each code and each refresh token. The default has characters that JSON or forms encode.
    pub(crate) ending: String,
    pub(crate) token_type: &'static str,
    pub(crate) expires_in: u64,
    /// The `scope` in token responses, if any.
    pub(crate) scope: Option<&'static str>,
    pub(crate) issues_refresh_tokens: bool,
    /// Members of token responses that replace the usual ones. Null stands for a member that is left out.
    pub(crate) members: serde_json::Map<String, serde_json::Value>,
    /// What UserInfo or the profile address responds with, besides the user's ID.
    pub(crate) profile: serde_json::Map<String, serde_json::Value>,
    /// For a server without OpenID Connect, the JSON members of its token responses that replace the usual ones.
    pub(crate) plain: Option<serde_json::Value>,
    /// True if the response to a refresh has an ID token.
    pub(crate) renews_id_tokens: bool,
    /// The login's nonce for each issued code.
    codes: BTreeMap<String, String>,
    pushed: BTreeMap<String, String>,
    pub(crate) requests: Vec<Arrived>,
    /// The next responses, each with a path, in place of the provider's own. `None` means that no response arrives.
    pub(crate) replies: VecDeque<(&'static str, Option<HttpReply>)>,
    /// Changes to the next responses with tokens, one each: a member, and its JSON text. `status` is the status.
    pub(crate) flaws: VecDeque<(&'static str, &'static str)>,
    /// The nonce that proofs must have.
    pub(crate) dpop_nonce: Option<String>,
    /// A nonce that responses contain although the provider does not require one in proofs.
    pub(crate) announced_nonce: Option<String>,
    issued: usize,
    /// The access token in the newest response.
    newest: String,
}

impl Provider {
    pub(crate) fn new() -> Self {
        Self {
            key: Pair::generate(),
            metadata: String::new(),
            claims: String::new(),
            header: r#"{"alg":"ES256","kid":"1"}"#,
            published_kid: "1",
            subject: "ann".to_owned(),
            padding: String::new(),
            ending: r#" |:)\"+%20&=~ "#.to_owned(),
            token_type: "Bearer",
            expires_in: 600,
            scope: None,
            issues_refresh_tokens: true,
            members: serde_json::Map::new(),
            profile: serde_json::Map::new(),
            plain: None,
            renews_id_tokens: false,
            codes: BTreeMap::new(),
            pushed: BTreeMap::new(),
            requests: Vec::new(),
            replies: VecDeque::new(),
            flaws: VecDeque::new(),
            dpop_nonce: None,
            announced_nonce: None,
            issued: 0,
            newest: String::new(),
        }
    }

    /// Signs the user in. Returns the URL of the redirect back.
    pub(crate) fn authorize(&mut self, url: &str) -> String {
        let params = self.parameters(url);
        self.issued += 1;
        let code = format!("code-{}{}", self.issued, self.ending);
        assert_eq!(params.contains_key("nonce"), self.plain.is_none());
        let nonce = params.get("nonce").map_or("none", String::as_str);
        self.codes.insert(code.clone(), nonce.to_owned());
        let mut answer = form::Form::new();
        let state = &params["state"];
        answer
            .push("code", &code)
            .push("state", state)
            .push("iss", ISSUER);
        format!("{}?{}", params["redirect_uri"], answer.finish())
    }

    /// Returns the parameters of an authorization request, whether or not the request was pushed.
    pub(crate) fn parameters(&self, url: &str) -> BTreeMap<String, String> {
        let (endpoint, query) = url.split_once('?').unwrap();
        assert_eq!(endpoint, format!("{ISSUER}/authorize"));
        let params = parameters(query);
        match params.get("request_uri") {
            Some(uri) => parameters(&self.pushed[uri]),
            None => params,
        }
    }

    pub(crate) fn reply(
        &mut self,
        request: &HttpRequest,
        authorization: Option<String>,
        proof: Option<String>,
        now: u64,
    ) -> Option<HttpReply> {
        assert!(
            request.proof.is_none(),
            "a proof is signed before it is sent"
        );
        let path = request.url.strip_prefix(ISSUER).unwrap().to_owned();
        let body = request.form.as_ref().map_or("", Secret::expose);
        let arrived = Arrived {
            params: parameters(body),
            path: path.clone(),
            authorization,
            proof,
        };
        self.requests.push(arrived.clone());
        if let Some(place) = self.replies.iter().position(|(of, _)| *of == path) {
            return self.replies.remove(place).unwrap().1;
        }
        let mut reply = match path.as_str() {
            "/.well-known/openid-configuration" => json(200, &self.discovery()),
            "/jwks" => {
                let kid = format!(r#","kid":"{}""#, self.published_kid);
                let key = self.key.public_jwk(&kid);
                json(200, &format!(r#"{{"keys":[{key}]}}"#))
            }
            "/par" => {
                self.issued += 1;
                let uri = format!("urn:example:{}", self.issued);
                self.pushed.insert(uri.clone(), body.to_owned());
                json(
                    201,
                    &format!(r#"{{"request_uri":"{uri}","expires_in":60}}"#),
                )
            }
            "/token" => {
                let reply = self.token(&arrived, now);
                let reply = self.with_members(reply);
                match self.flaws.pop_front() {
                    Some((name, text)) => altered(reply, name, text),
                    None => reply,
                }
            }
            "/revoke" => json(200, ""),
            "/userinfo" | "/profile" => {
                let token = [self.token_type, " ", &self.newest].concat();
                if arrived.authorization != Some(token) {
                    return Some(json(401, "{}"));
                }
                let id = if self.plain.is_none() {
                    "sub"
                } else {
                    "user_id"
                };
                let mut profile = serde_json::json!({ id: self.subject });
                profile
                    .as_object_mut()
                    .unwrap()
                    .extend(self.profile.clone());
                json(200, &profile.to_string())
            }
            _ => json(404, ""),
        };
        let nonce = self.dpop_nonce.as_ref().or(self.announced_nonce.as_ref());
        reply.dpop_nonce = nonce.cloned();
        Some(reply)
    }

    /// Returns the discovery document.
    pub(crate) fn discovery(&self) -> String {
        let usual = [
            ("authorization_endpoint", "/authorize"),
            ("token_endpoint", "/token"),
            ("jwks_uri", "/jwks"),
            ("revocation_endpoint", "/revoke"),
            ("end_session_endpoint", "/end"),
            ("pushed_authorization_request_endpoint", "/par"),
        ];
        let mut document = format!(
            r#"{{"issuer":"{ISSUER}","code_challenge_methods_supported":["S256"],"id_token_signing_alg_values_supported":["ES256"]"#
        );
        for (name, path) in usual {
            document.push_str(&format!(r#","{name}":"{ISSUER}{path}""#));
        }
        document + &self.metadata + "}"
    }

    fn token(&mut self, arrived: &Arrived, now: u64) -> HttpReply {
        if let Some(nonce) = &self.dpop_nonce {
            let proof = arrived.proof.as_deref().map(kit::proof::read);
            if proof.is_none_or(|proof| proof.nonce.as_ref() != Some(nonce)) {
                return json(400, r#"{"error":"use_dpop_nonce"}"#);
            }
        }
        let nonce = match arrived.params["grant_type"].as_str() {
            "authorization_code" => self.codes.remove(&arrived.params["code"]),
            _ => Some(String::new()),
        };
        let Some(nonce) = nonce else {
            return json(400, r#"{"error":"invalid_grant"}"#);
        };
        self.issued += 1;
        let n = self.issued;
        if let Some(members) = &self.plain {
            let mut response = serde_json::json!({
                "access_token": format!("access-token-number-{n}"), "token_type": self.token_type,
                "expires_in": self.expires_in, "refresh_token": format!("refresh-{n}{}", self.ending),
            });
            for (name, value) in members.as_object().unwrap() {
                match value {
                    serde_json::Value::Null => response.as_object_mut().unwrap().remove(name),
                    value => response
                        .as_object_mut()
                        .unwrap()
                        .insert(name.clone(), value.clone()),
                };
            }
            return json(200, &response.to_string());
        }
        let id_token = if nonce.is_empty() && !self.renews_id_tokens {
            String::new()
        } else {
            let token = self.id_token(&nonce, now);
            format!(r#","id_token":"{token}""#)
        };
        let (kind, life, padding) = (self.token_type, self.expires_in, &self.padding);
        let mut more = id_token;
        if let Some(scope) = self.scope {
            more.push_str(&format!(r#","scope":"{scope}""#));
        }
        if self.issues_refresh_tokens {
            let refresh_token = format!("refresh-{n}{padding}{}", self.ending);
            let refresh_token = serde_json::Value::from(refresh_token);
            more.push_str(&format!(r#","refresh_token":{refresh_token}"#));
        }
        json(
            200,
            &format!(
                r#"{{"access_token":"access-token-number-{n}{padding}","token_type":"{kind}","expires_in":{life}{more}}}"#
            ),
        )
    }

    fn with_members(&mut self, reply: HttpReply) -> HttpReply {
        if reply.status != 200 {
            return reply;
        }
        let body = reply.body.as_ref().unwrap().expose();
        let mut body: serde_json::Map<_, _> = serde_json::from_str(body).unwrap();
        body.extend(self.members.clone());
        body.retain(|_, value| !value.is_null());
        let token = body.get("access_token").and_then(|token| token.as_str());
        self.newest = token.unwrap_or_default().to_owned();
        json(200, &serde_json::Value::Object(body).to_string())
    }

    fn id_token(&self, nonce: &str, now: u64) -> String {
        let subject = &self.subject;
        let mut claims = serde_json::json!({
            "iss": ISSUER, "sub": subject, "aud": "web", "iat": now, "exp": now + 300,
            "sid": format!("op-session-{subject}"),
        });
        if !nonce.is_empty() {
            claims["nonce"] = nonce.into();
        }
        let more = format!("{{{}}}", self.claims.trim_start_matches(','));
        let more: serde_json::Map<_, _> = serde_json::from_str(&more).unwrap();
        claims.as_object_mut().unwrap().extend(more);
        self.key.jwt(self.header, &claims.to_string())
    }

    /// Rotates the signing key: from now on, ID tokens name the new key, which alone is published.
    pub(crate) fn rotate_key(&mut self) {
        self.key = Pair::generate();
        self.header = r#"{"alg":"ES256","kid":"2"}"#;
        self.published_kid = "2";
    }

    /// Returns the requests to this path.
    pub(crate) fn sent_to(&self, path: &str) -> Vec<&Arrived> {
        self.requests.iter().filter(|r| r.path == path).collect()
    }
}

/// Returns the response with this JSON text in the member `name`.
fn altered(reply: HttpReply, name: &str, text: &str) -> HttpReply {
    if name == "status" {
        let status = text.parse().unwrap();
        return HttpReply { status, ..reply };
    }
    let body = reply.body.as_ref().unwrap().expose();
    let mut others: serde_json::Map<_, _> = serde_json::from_str(body).unwrap();
    others.remove(name);
    let others = serde_json::Value::Object(others).to_string();
    let others = others.strip_suffix('}').unwrap();
    json(reply.status, &format!(r#"{others},"{name}":{text}}}"#))
}

pub(crate) fn parameters(query: &str) -> BTreeMap<String, String> {
    let mut params = BTreeMap::new();
    for (name, value) in form::parse(query).unwrap() {
        assert!(params.insert(name, value).is_none(), "repeated in {query}");
    }
    params
}
