//! Grants: short signed statements by the application about who may see what, checked here without asking it.
//!
//! A token is `v1.` + base64url(claims as JSON, no padding) + `.` + base64url(HMAC-SHA256(key, everything before the
//! second dot)).

use super::expiring::{ExpiringMap, Fingerprint};
use super::problem::Problem;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

const US_PER_SECOND: i64 = 1_000_000;
/// Longer ones are refused unread.
const TOKEN_BYTES: usize = 4096;

/// What a grant says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The one camera.
    pub camera_id: String,
    /// `live`, `playback` or `export`.
    pub action: String,
    /// The one stream; all when absent.
    #[serde(default)]
    pub stream: Option<String>,
    /// Recordings from here on, µs since the Unix epoch; without bound when absent.
    #[serde(default)]
    pub start_us: Option<i64>,
    /// Recordings before this, µs since the Unix epoch; without bound when absent.
    #[serde(default)]
    pub end_us: Option<i64>,
    /// The first use must come before this, seconds since the Unix epoch.
    pub starts_before: i64,
    /// No use from here on, seconds since the Unix epoch.
    pub expires_at: i64,
    /// Who asked for it.
    pub subject: String,
}

/// What a request is about to do, to be held against the claims of a grant.
#[derive(Debug, Clone, Copy)]
pub struct Use<'a> {
    /// Camera asked for.
    pub camera_id: &'a str,
    /// Action asked for.
    pub action: &'a str,
    /// Stream asked for.
    pub stream: &'a str,
    /// Recordings asked for, `[start, end)` in µs, where the request says so.
    pub range_us: Option<(i64, i64)>,
}

/// The key that the application and the front share.
pub struct GrantKey {
    key: hmac::Key,
}

impl GrantKey {
    /// HMAC-SHA256 under `key`.
    pub fn new(key: &[u8]) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
        }
    }

    /// The token of `claims`.
    pub fn sign(&self, claims: &Claims) -> String {
        let json = serde_json::json!(claims).to_string();
        let mut token = format!("v1.{}", URL_SAFE_NO_PAD.encode(json));
        let mac = hmac::sign(&self.key, token.as_bytes());
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(mac));
        token
    }

    /// The claims of a token that was signed with this key; says nothing about time. None for anything else.
    pub fn verify(&self, token: &str) -> Option<Claims> {
        if token.len() > TOKEN_BYTES {
            return None;
        }
        let (signed, mac) = token.rsplit_once('.')?;
        let claims = signed.strip_prefix("v1.")?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
        hmac::verify(&self.key, signed.as_bytes(), &mac).ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }
}

impl Claims {
    /// 403 unless the claims cover `wanted`.
    pub fn permit(&self, wanted: &Use<'_>) -> Result<(), Problem> {
        if self.camera_id != wanted.camera_id {
            return Err(Problem::forbidden("The token is for another camera"));
        }
        if self.action != wanted.action {
            return Err(Problem::forbidden(format!(
                "The token does not permit {}",
                wanted.action
            )));
        }
        if self.stream.as_deref().is_some_and(|stream| stream != wanted.stream) {
            return Err(Problem::forbidden("The token is for another stream"));
        }
        match wanted.range_us {
            Some((start_us, end_us)) if !self.covers(start_us, end_us) => {
                Err(Problem::forbidden("The token is for another time range"))
            }
            _ => Ok(()),
        }
    }

    /// Recordings granted, `[start, end)` in µs; `i64::MIN` and `i64::MAX` where they have no bound.
    pub fn granted_us(&self) -> (i64, i64) {
        (self.start_us.unwrap_or(i64::MIN), self.end_us.unwrap_or(i64::MAX))
    }

    /// The same grant for `[start_us, end_us)` of `stream` alone.
    #[must_use]
    pub fn narrowed(&self, stream: &str, start_us: i64, end_us: i64) -> Self {
        Self {
            stream: Some(stream.to_owned()),
            start_us: Some(self.start_us.map_or(start_us, |granted| granted.max(start_us))),
            end_us: Some(self.end_us.map_or(end_us, |granted| granted.min(end_us))),
            ..self.clone()
        }
    }

    fn covers(&self, start_us: i64, end_us: i64) -> bool {
        self.start_us.is_none_or(|granted| start_us >= granted) && self.end_us.is_none_or(|granted| end_us <= granted)
    }
}

/// Remembers tokens that were used in time, so that they stay good until they expire: a player that seeks an hour
/// later still uses the link it got.
pub struct StartedTokens {
    started: Mutex<ExpiringMap<()>>,
}

impl StartedTokens {
    /// Remembers at most `capacity` tokens; over that, those that expire first go first.
    pub fn new(capacity: usize) -> Self {
        Self {
            started: Mutex::new(ExpiringMap::new(capacity)),
        }
    }

    /// 401 when the token is past its time at `now_us`; else remembers it as used.
    pub fn start(&self, token: &str, claims: &Claims, now_us: i64) -> Result<(), Problem> {
        let now = now_us.div_euclid(US_PER_SECOND);
        if now >= claims.expires_at {
            return Err(Problem::unauthorized("The token has expired"));
        }
        let fingerprint = Fingerprint::of(&[token.as_bytes()]);
        let mut started = self.started.lock();
        if started.get(&fingerprint, now).is_some() {
            return Ok(());
        }
        if now >= claims.starts_before {
            return Err(Problem::unauthorized("The token was not used in time"));
        }
        started.insert(fingerprint, (), claims.expires_at, now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use http::StatusCode;
    use proptest::prelude::*;

    const NOW: i64 = 1_795_428_000;

    fn claims() -> Claims {
        Claims {
            camera_id: "cam-1".into(),
            action: "playback".into(),
            stream: None,
            start_us: Some(1_000),
            end_us: Some(2_000),
            starts_before: NOW + 300,
            expires_at: NOW + 3_600,
            subject: "alice".into(),
        }
    }

    fn wanted() -> Use<'static> {
        Use {
            camera_id: "cam-1",
            action: "playback",
            stream: "main",
            range_us: Some((1_000, 2_000)),
        }
    }

    #[test]
    fn what_is_signed_is_read_and_nothing_else() {
        let key = GrantKey::new(b"0123456789abcdef0123456789abcdef");
        let token = key.sign(&claims());
        assert_eq!(key.verify(&token), Some(claims()));
        assert_eq!(GrantKey::new(b"another key").verify(&token), None);
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(key.verify(std::str::from_utf8(&bytes).unwrap()), None, "byte {at}");
        }
        for bad in [
            "",
            "v1",
            "v1.",
            "v1..",
            "v2.e30.e30",
            &token[3..],
            &format!("{token}="),
            &format!("{token}."),
        ] {
            assert_eq!(key.verify(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_truncated_mac_is_refused() {
        let key = GrantKey::new(b"0123456789abcdef");
        let token = key.sign(&claims());
        let (signed, mac) = token.rsplit_once('.').unwrap();
        let mac = URL_SAFE_NO_PAD.decode(mac).unwrap();
        for length in 0..mac.len() {
            assert_eq!(
                key.verify(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&mac[..length]))),
                None
            );
        }
    }

    #[test]
    fn the_application_may_leave_out_what_is_unbounded() {
        let key = GrantKey::new(b"0123456789abcdef");
        let json =
            r#"{"camera_id":"c","action":"live","stream":null,"starts_before":1,"expires_at":2,"subject":"s","x":1}"#;
        let signed = format!("v1.{}", URL_SAFE_NO_PAD.encode(json));
        let mac = hmac::sign(&key.key, signed.as_bytes());
        let claims = key
            .verify(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac)))
            .unwrap();
        assert_eq!((claims.stream, claims.start_us, claims.end_us), (None, None, None));
    }

    #[test]
    fn claims_hold_a_request_to_their_letter() {
        let refused = |wanted: Use<'_>| claims().permit(&wanted).unwrap_err().status;
        assert!(claims().permit(&wanted()).is_ok());
        assert!(
            claims()
                .permit(&Use {
                    range_us: Some((1_500, 1_600)),
                    ..wanted()
                })
                .is_ok()
        );
        assert_eq!(
            refused(Use {
                camera_id: "cam-2",
                ..wanted()
            }),
            StatusCode::FORBIDDEN
        );
        assert_eq!(
            refused(Use {
                action: "live",
                ..wanted()
            }),
            StatusCode::FORBIDDEN
        );
        assert_eq!(
            refused(Use {
                range_us: Some((999, 2_000)),
                ..wanted()
            }),
            StatusCode::FORBIDDEN
        );
        assert_eq!(
            refused(Use {
                range_us: Some((1_000, 2_001)),
                ..wanted()
            }),
            StatusCode::FORBIDDEN
        );
        let main_only = claims().narrowed("main", 0, 1_500);
        assert_eq!((main_only.start_us, main_only.end_us), (Some(1_000), Some(1_500)));
        assert!(
            main_only
                .permit(&Use {
                    stream: "sub",
                    range_us: None,
                    ..wanted()
                })
                .is_err()
        );
        assert_eq!(main_only.granted_us(), (1_000, 1_500));
        let unbounded = Claims {
            start_us: None,
            end_us: None,
            ..claims()
        };
        assert_eq!(unbounded.granted_us(), (i64::MIN, i64::MAX));
    }

    #[test]
    fn a_token_used_in_time_stays_good_until_it_expires() {
        let started = StartedTokens::new(8);
        let at = |seconds: i64| (NOW + seconds) * US_PER_SECOND;
        assert!(started.start("late", &claims(), at(300)).is_err());
        assert!(started.start("early", &claims(), at(299)).is_ok());
        assert!(started.start("early", &claims(), at(3_599)).is_ok());
        assert_eq!(
            started.start("early", &claims(), at(3_600)).unwrap_err().status,
            StatusCode::UNAUTHORIZED
        );
    }

    #[test]
    fn memory_of_tokens_is_bounded() {
        let started = StartedTokens::new(4);
        for n in 0..100 {
            let claims = Claims {
                expires_at: NOW + 1_000 + n,
                ..claims()
            };
            started.start(&format!("t{n}"), &claims, NOW * US_PER_SECOND).unwrap();
        }
        assert_eq!(started.started.lock().len(), 4);
        assert!(started.start("t99", &claims(), (NOW + 400) * US_PER_SECOND).is_ok());
        assert!(started.start("t0", &claims(), (NOW + 400) * US_PER_SECOND).is_err());
        started.start("new", &claims(), (NOW + 200) * US_PER_SECOND).unwrap();
        let later = Claims {
            starts_before: NOW + 9_000,
            expires_at: NOW + 10_000,
            ..claims()
        };
        started
            .start("after all expired", &later, (NOW + 8_000) * US_PER_SECOND)
            .unwrap();
        assert_eq!(started.started.lock().len(), 1);
    }

    proptest! {
        #[test]
        fn any_token_is_survived(token in ".{0,80}") {
            prop_assert_eq!(GrantKey::new(b"0123456789abcdef").verify(&token), None);
        }
    }
}
