//! What Prometheus reads: every metric by name, and the page that has them all.
//!
//! | file | has |
//! |---|---|
//! | `metrics` | the table: name, kind, labels, meaning of each metric, and where its number is read |
//! | `page` | the two text formats |
//! | `store` | what lies in the directory of bundles |
//!
//! Pure but for `store`: how dashcap stands goes in, text comes out. Who may ask, and how often, is the business
//! of the endpoint ([`http`](super::http)). `docs/metrics.md` lists every metric, and alert rules and a dashboard
//! that use them are in `packaging/prometheus`; tests hold all of them together.

mod metrics;
mod page;
mod store;

pub(super) use self::metrics::Scraped;
pub(super) use self::page::{Form, page};
pub(super) use self::store::{Contents, contents};
