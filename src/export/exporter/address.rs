//! Where a server is called: read, checked, and judged as to who may read along.

use std::net::IpAddr;

use ureq::http::Uri;

use crate::error::{Error, Result};
use crate::export::webhook::{Address, origin};
use crate::secret;

/// The URL itself, checked.
///
/// # Errors
/// When it is none, or the file cannot be read.
pub(super) fn url(address: &Address) -> Result<String> {
    let url = match address {
        Address::Url(url) => url.clone(),
        Address::File(file) => secret::read("the address in", file)?,
    };
    check(&url)?;
    Ok(url)
}

/// Refuses what is no address of a web server.
pub(super) fn check(url: &str) -> Result<()> {
    let refuse =
        |reason: &str, accepted: &str| Err(Error::usage("webhook", origin(url), reason, accepted));
    let uri: Option<Uri> = url.parse().ok();
    let scheme = uri.as_ref().and_then(Uri::scheme_str);
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    if !matches!(scheme, Some("http" | "https")) || host.is_empty() {
        return refuse(
            "a webhook is an address of a web server",
            "http://HOST/PATH or https://HOST/PATH",
        );
    }
    if uri.and_then(|uri| Some(uri.authority()?.as_str().contains('@'))) == Some(true) {
        let accepted = "token_file = \"FILE\", or headers";
        return refuse("an address has no credentials, which would be shown in logs", accepted);
    }
    Ok(())
}

/// True if whoever is on the way can read what is sent: no TLS, and another host.
pub(super) fn is_readable_on_the_way(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_here = host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    uri.scheme_str() == Some("http") && !is_here
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Security review M4: secrets in the path of an address.
    #[test]
    fn nothing_behind_the_host_is_shown() {
        for (text, shown) in [
            ("https://hooks.example/services/T0/SECRET", "https://hooks.example"),
            ("http://[::1]:9/SECRET?a=SECRET#SECRET", "http://[::1]:9"),
            ("https://x?key=SECRET", "https://x"),
            ("https://SECRET:SECRET@x/", "https://x"),
            ("https://x\\SECRET", "https://x"),
            ("hooks.example/SECRET", "hooks.example"),
            ("", ""),
        ] {
            let address = Address::Url(text.to_owned());
            assert_eq!(address.shown(), shown);
            assert_eq!(format!("{address:?}"), shown);
            let told = url(&address).map_or_else(|error| error.to_string(), |_| String::new());
            assert!(!told.contains("SECRET"), "{told}");
        }
    }

    #[test]
    fn a_token_can_be_read_on_the_way_to_another_host() {
        for (url, readable) in [
            ("http://alerts.example/", true),
            ("http://192.0.2.1:8080/", true),
            ("https://alerts.example/", false),
            ("http://localhost/", false),
            ("http://127.0.0.2/", false),
            ("http://[::1]:80/", false),
            ("http://[2001:db8::1]/", true),
        ] {
            assert_eq!(is_readable_on_the_way(url), readable, "{url}");
        }
    }
}
