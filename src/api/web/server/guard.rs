//! Who is let through: browsers that mean this machine, from this page, and on loopback with a cookie. Every answer
//! says what a browser may do with it.

use axum::Extension;
use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use super::{Page, Visitor, form};
use crate::api::http::is_this_host;
use crate::api::web::Options;
use crate::time::Mono;

/// What a page may load and do: its own script, style and figures, forms that go home, and nothing else; no markup
/// is made from text (Trusted Types).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";
/// Said of every answer.
const HEADERS: [(header::HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];
/// Where browsers say from whose page a request comes (W3C, Fetch Metadata).
const FROM: &str = "sec-fetch-site";
/// How they go there.
const MODE: &str = "sec-fetch-mode";
/// Begins the name of the cookie; the port follows, since cookies are shared by all ports of a host.
const COOKIE: &str = "dashcap-";

/// The way in, where a ticket is asked for.
pub(super) const ENTER: &str = "/enter";

/// Lets through who may; whatever is answered gets the headers.
pub(super) async fn let_through(
    State(page): State<Page>,
    Extension(visitor): Extension<Visitor>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match refusal(&page, &visitor, &request) {
        Some((status, reason)) => (status, format!("{reason}\n")).into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let policy = HeaderValue::from_static(POLICY);
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(policy);
    response
}

/// Why a request is refused; none if it is not.
fn refusal(
    page: &Page,
    visitor: &Visitor,
    request: &Request,
) -> Option<(StatusCode, &'static str)> {
    let headers = request.headers();
    if let Some(refused) = foreign(request.method(), headers) {
        return Some(refused);
    }
    let has_cookie =
        || cookies(headers, &page.cookie()).any(|c| page.entrance.knows(c, page.now()));
    let enters = request.uri().path() == ENTER;
    (!visitor.is_known && !enters && !has_cookie()).then_some((
        StatusCode::UNAUTHORIZED,
        "not let in: open the address that `dashcap web` prints",
    ))
}

/// Why a request is not from this page, or not for this machine.
fn foreign(method: &Method, headers: &HeaderMap) -> Option<(StatusCode, &'static str)> {
    let value = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
    let host = value(header::HOST.as_str());
    if !host.is_some_and(is_this_host) {
        return Some((
            StatusCode::MISDIRECTED_REQUEST,
            "the header Host must be an address or localhost",
        ));
    }
    let elsewhere = Some((StatusCode::FORBIDDEN, "this page is asked from its own pages only"));
    // An address that is typed, or a link that is followed, comes from none or another page, and shows nothing to it.
    let is_visit = method == Method::GET && value(MODE) == Some(b"navigate");
    match value(FROM) {
        Some(b"same-origin" | b"none") => None,
        Some(_) if is_visit => None,
        Some(_) => elsewhere,
        // No browser of today: then its Origin must be this host, and whoever changes something must have one.
        None => match value(header::ORIGIN.as_str()) {
            Some(origin) => (!is_of(origin, host?)).then_some(elsewhere).flatten(),
            None if method == Method::GET => None,
            None => elsewhere,
        },
    }
}

/// True if `origin` is `http://HOST`.
fn is_of(origin: &[u8], host: &[u8]) -> bool {
    origin.strip_prefix(b"http://").is_some_and(|of| of.eq_ignore_ascii_case(host))
}

/// The values of the cookies of this name.
fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let pairs =
        lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(move |(known, _)| *known == name).map(|(_, value)| value)
}

impl Page {
    /// On the clock of tickets and standings.
    pub(super) fn now(&self) -> Mono {
        self.clock.now().mono
    }

    fn cookie(&self) -> String {
        let port = match self.entrance.place() {
            Options::Loopback(address) => address.port(),
            Options::Socket(_) => 0,
        };
        format!("{COOKIE}{port}")
    }
}

/// Trades a ticket for a cookie, and the address with the ticket for one without.
pub(super) async fn enter(State(page): State<Page>, RawQuery(query): RawQuery) -> Response {
    let ticket = form::field(query.unwrap_or_default().as_bytes(), "ticket").unwrap_or_default();
    match page.entrance.enter(&ticket, page.now()) {
        Ok(Some(secret)) => {
            let cookie = format!(
                "{}={secret}; HttpOnly; SameSite=Strict; Path=/; Max-Age=43200",
                page.cookie()
            );
            ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response()
        }
        Ok(None) => {
            let reason =
                "this ticket was used, or is older than a minute: run `dashcap web` again\n";
            (StatusCode::UNAUTHORIZED, reason).into_response()
        }
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(method: &Method, headers: &[(&str, &str)]) -> Option<u16> {
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            let name: header::HeaderName = name.parse().unwrap();
            all.append(name, value.parse().unwrap());
        }
        foreign(method, &all).map(|(status, _)| status.as_u16())
    }

    #[test]
    fn only_this_page_asks_and_only_this_machine_is_asked() {
        let (get, post) = (Method::GET, Method::POST);
        let host = ("host", "localhost:9182");
        for (method, headers, expected) in [
            (&get, &[host][..], None),
            (&get, &[], Some(421)),
            (&get, &[("host", "evil.example")], Some(421)),
            (&get, &[("host", "127.0.0.1.evil.example:9182")], Some(421)),
            (&get, &[host, ("sec-fetch-site", "same-origin")], None),
            (&get, &[host, ("sec-fetch-site", "cross-site")], Some(403)),
            (&get, &[host, ("sec-fetch-site", "same-site")], Some(403)),
            (&get, &[host, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")], None),
            (
                &post,
                &[host, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")],
                Some(403),
            ),
            (&post, &[host, ("sec-fetch-site", "same-origin")], None),
            (&post, &[host, ("sec-fetch-site", "none")], None),
            (&post, &[host], Some(403)),
            (&post, &[host, ("origin", "http://localhost:9182")], None),
            (&post, &[host, ("origin", "http://localhost:9183")], Some(403)),
            (&post, &[host, ("origin", "null")], Some(403)),
            (&get, &[host, ("origin", "http://evil.example")], Some(403)),
        ] {
            assert_eq!(judged(method, headers), expected, "{method} {headers:?}");
        }
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "a=b; dashcap-9182=x".parse().unwrap());
        headers.append(header::COOKIE, "dashcap-9183=y;dashcap-9182=z".parse().unwrap());
        assert_eq!(cookies(&headers, "dashcap-9182").collect::<Vec<_>>(), ["x", "z"]);
    }
}
