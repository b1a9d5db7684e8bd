//! An HTTP/1.1 request and the status of its answer (RFC 9112). Pure: bytes in, bytes out.
//!
//! Only the status is looked at; header fields and body are never read.

use std::ops::RangeInclusive;

use super::target::Url;

/// Header fields of an interim response that are looked over to find its end.
const FIELDS: usize = 64;
/// Longest answer that is read to find a status: some interim responses, which servers send rarely and
/// small. As much as common servers take of a request's header.
pub(super) const LONGEST: usize = 16 << 10;

/// One request, and which statuses answer it.
#[derive(Debug)]
pub(super) struct Get {
    pub(super) request: Vec<u8>,
    status: RangeInclusive<u16>,
}

impl Get {
    pub(super) fn new(url: &Url, status: RangeInclusive<u16>) -> Self {
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {url}\r\nUser-Agent: dashcap/{}\r\nAccept: */*\r\n\
             Connection: close\r\n\r\n",
            url.path,
            env!("CARGO_PKG_VERSION")
        );
        Self { request: request.into_bytes(), status }
    }

    /// What the bytes read so far mean: none until there is a status.
    pub(super) fn judge(&self, read: &[u8]) -> Option<Result<(), String>> {
        match status(read) {
            Ok(None) if read.len() >= LONGEST => {
                Some(Err(format!("no status in the first {LONGEST} bytes")))
            }
            Ok(None) => None,
            Ok(Some(status)) if self.status.contains(&status) => Some(Ok(())),
            Ok(Some(status)) => Some(Err(format!("status {status}"))),
            Err(reason) => Some(Err(format!("the answer is not HTTP: {reason}"))),
        }
    }
}

/// The final status, as soon as it is there; interim responses (RFC 9110 §15.2) are passed over.
fn status(mut read: &[u8]) -> Result<Option<u16>, String> {
    loop {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        let parsed = response.parse(read);
        // Switching protocols is nothing we asked for, so nothing follows it.
        if let Some(status) = response.code.filter(|code| *code == 101 || *code >= 200) {
            return Ok(Some(status));
        }
        match parsed {
            Ok(httparse::Status::Complete(end)) => read = read.get(end..).unwrap_or_default(),
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => return Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::target::Target;
    use super::*;

    fn get(url: &str) -> Get {
        let Target::Http(url) = url.parse().unwrap() else { panic!("{url}") };
        Get::new(&url, 200..=399)
    }

    #[test]
    fn a_request_names_what_it_wants() {
        let request = String::from_utf8(get("http://[::1%lo]:8080/health?x").request).unwrap();
        assert!(request.starts_with("GET /health?x HTTP/1.1\r\nHost: [::1]:8080\r\n"), "{request}");
        assert!(request.ends_with("\r\nConnection: close\r\n\r\n"), "{request}");
    }

    #[test]
    fn the_final_status_counts() {
        let wrong = |reason: &str| Some(Err(reason.to_owned()));
        let long = format!("HTTP/1.1 100 {}", "x".repeat(LONGEST));
        for (read, meaning) in [
            ("", None),
            ("HTTP/1.", None),
            ("HTTP/1.1 20", None),
            ("HTTP/1.1 200 OK\r\n", Some(Ok(()))),
            ("HTTP/1.0 302 Found\r\nLocation: /", Some(Ok(()))),
            ("HTTP/1.1 204\r\n\r\n", Some(Ok(()))),
            ("HTTP/1.1 404 Not Found\r\n", wrong("status 404")),
            ("HTTP/1.1 101 Switching Protocols\r\n", wrong("status 101")),
            ("HTTP/1.1 503 Try\r\nBad\0Field", wrong("status 503")),
            ("HTTP/1.1 100 Continue\r\n\r\n", None),
            ("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n", Some(Ok(()))),
            ("SSH-2.0-OpenSSH_9.2\r\n", wrong("the answer is not HTTP: invalid HTTP version")),
            (&long, wrong("no status in the first 16384 bytes")),
        ] {
            assert_eq!(get("http://gw/").judge(read.as_bytes()), meaning, "{read:.60}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let get = get("http://gw/");
            let _ = get.judge(&bytes);
            let _ = get.judge(&[b"HTTP/1.1 100 \r\n", &bytes[..]].concat());
        }
    }
}
