//! Preconditions and byte ranges (RFC 9110 §13 and §14), as arithmetic on header values.

use http::header::{HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE};

/// What a request wants to know about the version it has, and which bytes it wants.
#[derive(Debug, Clone, Default)]
pub struct Conditions {
    if_match: Option<String>,
    if_none_match: Option<String>,
    if_range: Option<String>,
    range: Option<String>,
}

/// How a resource of known size and entity tag answers `Conditions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// 200 with everything.
    Whole,
    /// 206 with bytes `first..=last`; `first <= last < size`.
    Part {
        /// Offset of the first byte.
        first: u64,
        /// Offset of the last byte.
        last: u64,
    },
    /// 304.
    NotModified,
    /// 412.
    PreconditionFailed,
    /// 416.
    Unsatisfiable,
}

impl Conditions {
    /// Takes the conditions from a request. `Range` is read for GET alone (RFC 9110 §14.2).
    pub fn from_headers(headers: &HeaderMap, is_get: bool) -> Self {
        Self {
            if_match: joined(headers, &IF_MATCH),
            if_none_match: joined(headers, &IF_NONE_MATCH),
            if_range: joined(headers, &IF_RANGE),
            range: if is_get { joined(headers, &RANGE) } else { None },
        }
    }

    /// Evaluates in the order of RFC 9110 §13.2.2. `etag` is strong and without quotes.
    pub fn evaluate(&self, etag: &str, size_bytes: u64) -> Outcome {
        if let Some(list) = &self.if_match
            && !lists(list, etag, false)
        {
            return Outcome::PreconditionFailed;
        }
        if let Some(list) = &self.if_none_match
            && lists(list, etag, true)
        {
            return Outcome::NotModified;
        }
        let Some(range) = &self.range else {
            return Outcome::Whole;
        };
        // A date or a weak tag never matches: what we serve has a strong tag and no Last-Modified.
        if let Some(tag) = &self.if_range
            && tag.strip_prefix('"').and_then(|t| t.strip_suffix('"')) != Some(etag)
        {
            return Outcome::Whole;
        }
        select(range, size_bytes)
    }
}

/// Several lines of one list-valued field are one line with commas (RFC 9110 §5.3).
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let mut text: Option<String> = None;
    for value in headers.get_all(name) {
        let value = value.to_str().ok()?.trim();
        match &mut text {
            None => text = Some(value.to_owned()),
            Some(text) => {
                text.push(',');
                text.push_str(value);
            }
        }
    }
    text
}

/// Whether a list of entity tags names `etag`. Weak tags count only where `weak_too` (RFC 9110 §8.8.3.2).
fn lists(list: &str, etag: &str, weak_too: bool) -> bool {
    if list == "*" {
        return true;
    }
    let mut rest = list;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let weak = rest.starts_with("W/");
        let opaque = rest.strip_prefix("W/").unwrap_or(rest);
        let Some(quoted) = opaque.strip_prefix('"') else {
            return false;
        };
        let Some(end) = quoted.find('"') else { return false };
        if &quoted[..end] == etag && (weak_too || !weak) {
            return true;
        }
        rest = &quoted[end + 1..];
    }
}

/// One range of `bytes`; several, another unit or a broken one are answered with everything (RFC 9110 §14.2).
fn select(range: &str, size_bytes: u64) -> Outcome {
    let Some((unit, set)) = range.split_once('=') else {
        return Outcome::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Outcome::Whole;
    }
    let Some((from, to)) = set.trim().split_once('-') else {
        return Outcome::Whole;
    };
    let (Some(from), Some(to)) = (position(from), position(to)) else {
        return Outcome::Whole;
    };
    match (from, to) {
        (None, None) => Outcome::Whole,
        (None, Some(suffix_bytes)) if suffix_bytes == 0 || size_bytes == 0 => Outcome::Unsatisfiable,
        (None, Some(suffix_bytes)) => Outcome::Part {
            first: size_bytes.saturating_sub(suffix_bytes),
            last: size_bytes - 1,
        },
        (Some(first), Some(last)) if last < first => Outcome::Whole,
        (Some(first), _) if first >= size_bytes => Outcome::Unsatisfiable,
        (Some(first), last) => Outcome::Part {
            first,
            last: last.unwrap_or(u64::MAX).min(size_bytes - 1),
        },
    }
}

/// `Some(None)`: absent. `None`: not a number. Numbers beyond u64 are as good as the greatest one.
fn position(text: &str) -> Option<Option<u64>> {
    let text = text.trim();
    if text.is_empty() {
        return Some(None);
    }
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(Some(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn conditions(lines: &[(HeaderName, &str)]) -> Conditions {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        Conditions::from_headers(&headers, true)
    }

    #[test]
    fn ranges_that_must_be_ignored() {
        for text in [
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-2",
            "bytes=0-1,3-4",
            "items=0-1",
            "bytes=+1-2",
            "bytes=1--2",
            "bytes=0x1-2",
            "0-1",
            "bytes=1",
        ] {
            assert_eq!(select(text, 10), Outcome::Whole, "{text}");
        }
    }

    #[test]
    fn edges_of_a_range() {
        assert_eq!(select("bytes=0-0", 10), Outcome::Part { first: 0, last: 0 });
        assert_eq!(select("BYTES = 9-", 10), Outcome::Part { first: 9, last: 9 });
        assert_eq!(select("bytes=-3", 10), Outcome::Part { first: 7, last: 9 });
        assert_eq!(select("bytes=-30", 10), Outcome::Part { first: 0, last: 9 });
        assert_eq!(
            select("bytes=2-99999999999999999999999", 10),
            Outcome::Part { first: 2, last: 9 }
        );
        assert_eq!(select("bytes=10-", 10), Outcome::Unsatisfiable);
        assert_eq!(select("bytes=99999999999999999999999-", 10), Outcome::Unsatisfiable);
        assert_eq!(select("bytes=-0", 10), Outcome::Unsatisfiable);
        assert_eq!(select("bytes=0-", 0), Outcome::Unsatisfiable);
        assert_eq!(select("bytes=-1", 0), Outcome::Unsatisfiable);
    }

    #[test]
    fn preconditions_come_before_the_range() {
        let range = (RANGE, "bytes=0-1");
        let part = Outcome::Part { first: 0, last: 1 };
        assert_eq!(
            conditions(&[range.clone(), (IF_NONE_MATCH, "\"a\"")]).evaluate("a", 9),
            Outcome::NotModified
        );
        assert_eq!(
            conditions(&[(IF_NONE_MATCH, "\"x,y\", W/\"a\"")]).evaluate("a", 9),
            Outcome::NotModified
        );
        assert_eq!(
            conditions(&[(IF_NONE_MATCH, "*")]).evaluate("a", 9),
            Outcome::NotModified
        );
        assert_eq!(conditions(&[(IF_NONE_MATCH, "a")]).evaluate("a", 9), Outcome::Whole);
        assert_eq!(
            conditions(&[range.clone(), (IF_MATCH, "W/\"a\"")]).evaluate("a", 9),
            Outcome::PreconditionFailed
        );
        assert_eq!(
            conditions(&[range.clone(), (IF_MATCH, "\"b\", \"a\"")]).evaluate("a", 9),
            part
        );
        assert_eq!(conditions(&[range.clone(), (IF_RANGE, "\"a\"")]).evaluate("a", 9), part);
        assert_eq!(
            conditions(&[range.clone(), (IF_RANGE, "W/\"a\"")]).evaluate("a", 9),
            Outcome::Whole
        );
        assert_eq!(
            conditions(&[range.clone(), (IF_RANGE, "\"b\"")]).evaluate("a", 9),
            Outcome::Whole
        );
        let date = (IF_RANGE, "Sat, 01 Jan 2000 00:00:00 GMT");
        assert_eq!(conditions(&[range.clone(), date]).evaluate("a", 9), Outcome::Whole);
        assert_eq!(conditions(&[range.clone(), range]).evaluate("a", 9), Outcome::Whole);
    }

    /// The bytes that a range names, found by asking of each byte whether the range covers it.
    fn reference(from: Option<u64>, to: Option<u64>, size: u64) -> Option<Vec<u64>> {
        let covered: Vec<u64> = (0..size)
            .filter(|&at| match (from, to) {
                (Some(from), Some(to)) => at >= from && at <= to,
                (Some(from), None) => at >= from,
                (None, Some(suffix)) => at + suffix >= size,
                (None, None) => true,
            })
            .collect();
        if covered.is_empty() { None } else { Some(covered) }
    }

    proptest! {
        #[test]
        fn ranges_cover_what_they_name(
            from in proptest::option::of(0_u64..40), to in proptest::option::of(0_u64..40), size in 0_u64..32,
        ) {
            let show = |v: Option<u64>| v.map(|v| v.to_string()).unwrap_or_default();
            let outcome = select(&format!("bytes={}-{}", show(from), show(to)), size);
            let ignored = matches!((from, to), (None, None)) || matches!((from, to), (Some(f), Some(t)) if t < f);
            match outcome {
                Outcome::Whole => prop_assert!(ignored),
                Outcome::Part { first, last } => {
                    prop_assert_eq!(Some((first..=last).collect::<Vec<_>>()), reference(from, to, size));
                }
                Outcome::Unsatisfiable => prop_assert_eq!(reference(from, to, size), None),
                other => prop_assert!(false, "{other:?}"),
            }
        }

        #[test]
        fn any_text_is_survived(text in ".{0,60}", etag in "[a-z]{0,4}") {
            let all = Conditions {
                if_match: Some(text.clone()), if_none_match: Some(text.clone()),
                if_range: Some(text.clone()), range: Some(text),
            };
            let _ = all.evaluate(&etag, 7);
            let _ = select(&format!("bytes={etag}"), 7);
        }
    }
}
