//! The page that is scraped, line by line: Prometheus' text format 0.0.4, or OpenMetrics 1.0, which describes
//! counters without `_total`, marks the end, and names an incident behind a bucket it counted in (an *exemplar*).
//!
//! Written here: the crate `prometheus-client` writes one of the formats, and takes exemplars from nowhere but
//! counters of its own. Names of interfaces and hosts come from outside, so labels are escaped and hold no control
//! characters.

use std::fmt::{Display, Write};

use super::metrics::{ALL, Metric, MetricKind, Number, PREFIX, Scraped};
use crate::api::status::{Bucket, Exemplar};
use crate::visible;

/// In which format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Form {
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// Prometheus' text format 0.0.4.
    Text,
}

impl Form {
    /// What a header `Accept` asks for.
    pub(in crate::api) fn accepted(header: &str) -> Self {
        if header.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Text }
    }

    pub(in crate::api) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The page for what was found.
pub(in crate::api) fn page(scraped: &Scraped, form: Form) -> String {
    let mut page = Page { text: String::new(), form };
    for metric in ALL {
        page.describe(metric);
        (metric.tell)(scraped, &mut |values, number| page.samples(metric, values, number));
    }
    if form == Form::OpenMetrics {
        page.text.push_str("# EOF\n");
    }
    page.text
}

struct Page {
    text: String,
    form: Form,
}

impl Page {
    fn describe(&mut self, metric: &Metric) {
        let Metric { name, kind, help, .. } = metric;
        let (kind, ending) = match (kind, self.form) {
            (MetricKind::Counter, Form::OpenMetrics) => ("counter", ""),
            (MetricKind::Counter, Form::Text) => ("counter", "_total"),
            (MetricKind::Gauge, _) => ("gauge", ""),
            (MetricKind::Histogram, _) => ("histogram", ""),
        };
        self.line(&format!("# HELP {PREFIX}_{name}{ending}"), help);
        self.line(&format!("# TYPE {PREFIX}_{name}{ending}"), kind);
    }

    fn samples(&mut self, metric: &Metric, values: &[&str], number: Number<'_>) {
        let labels: Vec<_> = metric.labels.iter().copied().zip(values.iter().copied()).collect();
        let name = metric.name;
        let ending = if metric.kind == MetricKind::Counter { "_total" } else { "" };
        let series = format!("{PREFIX}_{name}{ending}{}", braced(&labels));
        match number {
            Number::Whole(number) => self.line(&series, number),
            Number::Real(number) => self.line(&series, real(number)),
            Number::Spread { sum, buckets } => self.histogram(name, &labels, sum, buckets),
        }
    }

    /// Buckets count everything up to their bound, what is in the ones before included.
    fn histogram(&mut self, name: &str, labels: &[(&str, &str)], sum: f64, buckets: &[Bucket]) {
        let mut count = 0;
        for bucket in buckets {
            count += bucket.count;
            let up_to = bucket.up_to.map_or("+Inf".to_owned(), real);
            let labels = braced(&[labels, &[("le", &*up_to)]].concat());
            let exemplar = bucket.latest.as_ref().filter(|_| self.form == Form::OpenMetrics);
            let exemplar = exemplar.and_then(behind).unwrap_or_default();
            self.line(&format!("{PREFIX}_{name}_bucket{labels}"), format!("{count}{exemplar}"));
        }
        let labels = braced(labels);
        self.line(&format!("{PREFIX}_{name}_sum{labels}"), real(sum));
        self.line(&format!("{PREFIX}_{name}_count{labels}"), count);
    }

    fn line(&mut self, head: &str, rest: impl Display) {
        // A string takes everything.
        let _ = writeln!(self.text, "{head} {rest}");
    }
}

/// `{interface="eth0"}`; nothing where there are no labels.
fn braced(labels: &[(&str, &str)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let label = |(name, value): &(&str, &str)| format!("{name}=\"{}\"", escaped(value));
    format!("{{{}}}", labels.iter().map(label).collect::<Vec<_>>().join(","))
}

/// A value of a label: one line, with backslashes before those and before quotation marks.
fn escaped(value: &str) -> String {
    visible::plain(value).replace('\\', "\\\\").replace('"', "\\\"")
}

/// A number with a point, as OpenMetrics wants bounds to be (1.0, not 1).
fn real(number: f64) -> String {
    format!("{number:?}")
}

/// Characters that the labels of an exemplar have at most, names included (OpenMetrics 1.0, "Exemplars"). A cut
/// name would name nothing, so a longer one is left out.
const EXEMPLAR: usize = 128;

/// What stands behind a bucket: the latest incident in it, what it came to, and when.
fn behind(exemplar: &Exemplar) -> Option<String> {
    let Exemplar { incident, value, at_seconds } = exemplar;
    let fits = "incident".len() + incident.chars().count() <= EXEMPLAR;
    fits.then(|| format!(" # {} {value:?} {at_seconds:.3}", braced(&[("incident", incident)])))
}

#[cfg(test)]
mod tests;
