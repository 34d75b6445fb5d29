//! Authentication of RTSP requests: Basic (RFC 7617) and Digest with MD5 or SHA-256 (RFC 7616, RFC 2617), both sides.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Digest as _;

/// Hash of a Digest challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// MD5, also meant when the challenge names none.
    Md5,
    /// MD5 keyed once per session by the client's nonce.
    Md5Session,
    /// SHA-256.
    Sha256,
    /// SHA-256 keyed once per session.
    Sha256Session,
}

/// One way in that a server offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// Name and password in the clear.
    Basic {
        /// What is protected.
        realm: String,
    },
    /// A hash over the password and a nonce.
    Digest(DigestChallenge),
}

/// The parameters of a Digest challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestChallenge {
    /// What is protected.
    pub realm: String,
    /// The server's nonce.
    pub nonce: String,
    /// To be returned as it came.
    pub opaque: Option<String>,
    /// Hash to use.
    pub algorithm: Algorithm,
    /// The server understands `qop=auth`.
    pub qop_auth: bool,
    /// The last answer was right but its nonce too old: try again with the same password.
    pub stale: bool,
}

/// Who logs in.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User name.
    pub username: String,
    /// Password, never shown by `Debug`.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl Algorithm {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Md5Session => "MD5-sess",
            Self::Sha256 => "SHA-256",
            Self::Sha256Session => "SHA-256-sess",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Md5, Self::Md5Session, Self::Sha256, Self::Sha256Session]
            .into_iter()
            .find(|a| a.as_str().eq_ignore_ascii_case(name))
    }

    fn is_session(self) -> bool {
        matches!(self, Self::Md5Session | Self::Sha256Session)
    }

    fn hash(self, parts: &[&str]) -> String {
        let text = parts.join(":");
        match self {
            Self::Md5 | Self::Md5Session => hex(&md5::Md5::digest(text)),
            Self::Sha256 | Self::Sha256Session => hex(&sha2::Sha256::digest(text)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|b| [b >> 4, b & 15])
        .map(|n| char::from(b"0123456789abcdef"[usize::from(n)]))
        .collect()
}

impl Challenge {
    /// The value of a WWW-Authenticate header that offers this.
    pub fn to_header(&self) -> String {
        match self {
            Self::Basic { realm } => format!("Basic realm=\"{}\"", quoted(realm)),
            Self::Digest(d) => {
                let mut text = format!("Digest realm=\"{}\", nonce=\"{}\"", quoted(&d.realm), quoted(&d.nonce));
                if let Some(opaque) = &d.opaque {
                    text.push_str(&format!(", opaque=\"{}\"", quoted(opaque)));
                }
                text.push_str(&format!(", algorithm={}", d.algorithm.as_str()));
                if d.qop_auth {
                    text.push_str(", qop=\"auth\"");
                }
                if d.stale {
                    text.push_str(", stale=true");
                }
                text
            }
        }
    }
}

/// Every challenge of the WWW-Authenticate headers that we can answer, in order. One header may hold several.
pub fn parse_challenges<'a>(headers: impl IntoIterator<Item = &'a str>) -> Vec<Challenge> {
    headers
        .into_iter()
        .flat_map(parse_schemes)
        .filter_map(challenge)
        .collect()
}

/// The strongest challenge: Digest SHA-256, then Digest MD5, then Basic.
pub fn strongest(challenges: &[Challenge]) -> Option<&Challenge> {
    // Of equals the first is the server's preference.
    challenges.iter().rev().max_by_key(|c| match c {
        Challenge::Basic { .. } => 0,
        Challenge::Digest(d) => match d.algorithm {
            Algorithm::Md5 | Algorithm::Md5Session => 1,
            Algorithm::Sha256 | Algorithm::Sha256Session => 2,
        },
    })
}

fn challenge(scheme: Scheme) -> Option<Challenge> {
    let realm = scheme.get("realm").unwrap_or_default().to_owned();
    if scheme.name.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic { realm });
    }
    if !scheme.name.eq_ignore_ascii_case("digest") {
        return None;
    }
    let qop = scheme.get("qop");
    let qop_auth = qop.is_some_and(|q| q.split([',', ' ']).any(|q| q.eq_ignore_ascii_case("auth")));
    Some(Challenge::Digest(DigestChallenge {
        realm,
        nonce: scheme.get("nonce")?.to_owned(),
        opaque: scheme.get("opaque").map(str::to_owned),
        algorithm: match scheme.get("algorithm") {
            None | Some("") => Algorithm::Md5,
            Some(name) => Algorithm::parse(name)?,
        },
        qop_auth,
        stale: scheme.get("stale").is_some_and(|s| s.eq_ignore_ascii_case("true")),
    }))
}

/// A scheme of an authentication header with its parameters, or with its bare token (Basic's credentials).
struct Scheme {
    name: String,
    token: String,
    parameters: Vec<(String, String)>,
}

impl Scheme {
    fn get(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }
}

fn parse_schemes(header: &str) -> Vec<Scheme> {
    let mut schemes: Vec<Scheme> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return schemes;
        }
        let end = rest.find([' ', '\t', ',', '=', '"']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let trimmed = after.trim_start();
        if let Some(value) = trimmed.strip_prefix('=').filter(|_| !word.is_empty()) {
            let (value, after) = parse_value(value.trim_start());
            rest = after;
            if let Some(scheme) = schemes.last_mut() {
                scheme.parameters.push((word.to_owned(), value));
            }
        } else if word.is_empty() {
            // A stray quote or equals sign: step over it.
            rest = after.get(1..).unwrap_or("");
        } else {
            // Base64 of Basic may end in '=' and is taken whole; a challenge's first parameter is not.
            let token_end = trimmed.find([' ', ',']).unwrap_or(trimmed.len());
            let token = &trimmed[..token_end];
            let bare = !token.trim_end_matches('=').contains(['=', '"']) && !trimmed[token_end..].starts_with(" =");
            let token = if bare && word.eq_ignore_ascii_case("basic") {
                token
            } else {
                ""
            };
            rest = &trimmed[token.len()..];
            schemes.push(Scheme {
                name: word.to_owned(),
                token: token.to_owned(),
                parameters: Vec::new(),
            });
        }
    }
}

fn parse_value(text: &str) -> (String, &str) {
    let Some(inner) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut escaped = false;
    for (at, c) in inner.char_indices() {
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return (value, &inner[at + 1..]),
            _ => {
                value.push(c);
                escaped = false;
            }
        }
    }
    (value, "")
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace(['\r', '\n'], " ")
}

/// A client's answers to one challenge; counts how often its nonce was used.
#[derive(Debug, Clone)]
pub struct Authenticator {
    challenge: Challenge,
    credentials: Credentials,
    nonce_count: u32,
}

impl Authenticator {
    /// Answers `challenge` as `credentials`.
    pub fn new(challenge: Challenge, credentials: Credentials) -> Self {
        Self {
            challenge,
            credentials,
            nonce_count: 0,
        }
    }

    /// The challenge answered.
    pub fn challenge(&self) -> &Challenge {
        &self.challenge
    }

    /// The Authorization header of one request. `cnonce` is fresh random text (used with `qop=auth` only).
    pub fn authorization(&mut self, method: &str, uri: &str, cnonce: &str) -> String {
        let Credentials { username, password } = &self.credentials;
        let d = match &self.challenge {
            Challenge::Basic { .. } => return format!("Basic {}", STANDARD.encode(format!("{username}:{password}"))),
            Challenge::Digest(d) => d,
        };
        self.nonce_count += 1;
        let count = format!("{:08x}", self.nonce_count);
        let qop = if d.qop_auth {
            Qop::Auth { count: &count, cnonce }
        } else {
            Qop::None { cnonce }
        };
        let response = response(d.algorithm, &d.realm, &self.credentials, &d.nonce, method, uri, &qop);
        let mut text = format!(
            "Digest username=\"{}\", realm=\"{}\", nonce=\"{}\", uri=\"{}\", response=\"{response}\"",
            quoted(username),
            quoted(&d.realm),
            quoted(&d.nonce),
            quoted(uri)
        );
        // Old cameras choke on parameters they did not ask for: MD5 without qop stays as in RFC 2069.
        if d.algorithm != Algorithm::Md5 || d.qop_auth {
            text.push_str(&format!(", algorithm={}", d.algorithm.as_str()));
        }
        if d.qop_auth {
            text.push_str(&format!(", qop=auth, nc={count}, cnonce=\"{}\"", quoted(cnonce)));
        } else if d.algorithm.is_session() {
            text.push_str(&format!(", cnonce=\"{}\"", quoted(cnonce)));
        }
        if let Some(opaque) = &d.opaque {
            text.push_str(&format!(", opaque=\"{}\"", quoted(opaque)));
        }
        text
    }
}

enum Qop<'a> {
    None { cnonce: &'a str },
    Auth { count: &'a str, cnonce: &'a str },
}

fn response(
    algorithm: Algorithm,
    realm: &str,
    credentials: &Credentials,
    nonce: &str,
    method: &str,
    uri: &str,
    qop: &Qop<'_>,
) -> String {
    let (Qop::None { cnonce } | Qop::Auth { cnonce, .. }) = qop;
    let mut ha1 = algorithm.hash(&[&credentials.username, realm, &credentials.password]);
    if algorithm.is_session() {
        ha1 = algorithm.hash(&[&ha1, nonce, cnonce]);
    }
    let ha2 = algorithm.hash(&[method, uri]);
    match qop {
        Qop::None { .. } => algorithm.hash(&[&ha1, nonce, &ha2]),
        Qop::Auth { count, cnonce } => algorithm.hash(&[&ha1, nonce, count, cnonce, "auth", &ha2]),
    }
}

/// What a server makes of an Authorization header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The password is right.
    Granted,
    /// Right password, but for another nonce than the one offered: challenge again with `stale`.
    Stale,
    /// Wrong, unreadable or for another user.
    Refused,
}

/// Server side: checks the Authorization header `authorization` of a `method` request against the `offered` challenge.
/// The URI is the one inside the header, as clients and proxies rewrite the request line.
pub fn verify(authorization: &str, method: &str, offered: &Challenge, credentials: &Credentials) -> Verdict {
    let Some(scheme) = parse_schemes(authorization).into_iter().next() else {
        return Verdict::Refused;
    };
    match offered {
        Challenge::Basic { .. } => {
            let wanted = format!("{}:{}", credentials.username, credentials.password);
            let given = STANDARD.decode(&scheme.token).unwrap_or_default();
            let granted = scheme.name.eq_ignore_ascii_case("basic") && same(&given, wanted.as_bytes());
            if granted { Verdict::Granted } else { Verdict::Refused }
        }
        Challenge::Digest(d) => {
            let (Some(nonce), Some(uri), Some(given)) =
                (scheme.get("nonce"), scheme.get("uri"), scheme.get("response"))
            else {
                return Verdict::Refused;
            };
            if !scheme.name.eq_ignore_ascii_case("digest") || scheme.get("username") != Some(&credentials.username) {
                return Verdict::Refused;
            }
            let cnonce = scheme.get("cnonce").unwrap_or_default();
            let qop = match scheme.get("qop") {
                Some(qop) if qop.eq_ignore_ascii_case("auth") => Qop::Auth {
                    count: scheme.get("nc").unwrap_or_default(),
                    cnonce,
                },
                _ => Qop::None { cnonce },
            };
            let wanted = response(d.algorithm, &d.realm, credentials, nonce, method, uri, &qop);
            if !same(wanted.as_bytes(), given.to_ascii_lowercase().as_bytes()) {
                return Verdict::Refused;
            }
            if nonce == d.nonce {
                Verdict::Granted
            } else {
                Verdict::Stale
            }
        }
    }
}

/// Equality in time that depends on the lengths only.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (x, y)| difference | (x ^ y)) == 0
}

#[cfg(test)]
mod tests;
