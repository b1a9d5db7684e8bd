//! The page that is scraped: OpenMetrics 1.0, as the crate `prometheus-client` writes it, or Prometheus' text
//! format 0.0.4, which differs in the names of counters and the end.

use std::fmt::{self, Write};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::store::Contents;
use super::table::{ALL, Metric, MetricKind, Number, PREFIX, Snapshot};
use crate::api::status::RecorderStatus;
use crate::visible;

/// In which format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// Prometheus' text format 0.0.4.
    Text,
}

impl Form {
    /// What a header `Accept` asks for.
    pub(super) fn accepted(header: &str) -> Self {
        if header.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Text }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The page for how it stands.
pub(super) fn page(
    standing: RecorderStatus,
    store: Option<Contents>,
    form: Form,
) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Snapshot { standing, store }));
    let mut page = String::new();
    encode(&mut page, &registry)?;
    match form {
        Form::OpenMetrics => Ok(page),
        Form::Text => text(&page),
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in ALL {
            let kind = match metric.kind {
                MetricKind::Counter => MetricType::Counter,
                MetricKind::Gauge => MetricType::Gauge,
            };
            let mut written = encoder.encode_descriptor(metric.name, metric.help, None, kind)?;
            let mut outcome = Ok(());
            (metric.tell)(self, &mut |values, number| {
                if outcome.is_ok() {
                    outcome = sample(metric, &mut written, values, number);
                }
            });
            outcome?;
        }
        Ok(())
    }
}

fn sample(
    metric: &Metric,
    encoder: &mut MetricEncoder<'_>,
    values: &[&str],
    number: Number,
) -> fmt::Result {
    let values: Vec<_> = values.iter().map(|value| visible::plain(value)).collect();
    let values = values.iter().map(AsRef::as_ref);
    let labels: Vec<(&str, &str)> = metric.labels.iter().copied().zip(values).collect();
    if labels.is_empty() {
        return written(metric.kind, encoder, number);
    }
    written(metric.kind, &mut encoder.encode_family(&labels)?, number)
}

fn written(kind: MetricKind, encoder: &mut MetricEncoder<'_>, number: Number) -> fmt::Result {
    match (kind, number) {
        (MetricKind::Counter, Number::Whole(count)) => {
            encoder.encode_counter::<NoLabelSet, u64, u64>(&count, None)
        }
        (MetricKind::Counter, Number::Real(sum)) => {
            encoder.encode_counter::<NoLabelSet, f64, u64>(&sum, None)
        }
        (MetricKind::Gauge, Number::Whole(count)) => encoder.encode_gauge(&count),
        (MetricKind::Gauge, Number::Real(value)) => encoder.encode_gauge(&value),
    }
}

/// The same as text format 0.0.4: there a counter is described under the name its samples have, and the
/// end is not marked.
fn text(page: &str) -> Result<String, fmt::Error> {
    let mut text = String::with_capacity(page.len());
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        match line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            Some((name, help)) => {
                // The type follows; counters have their ending only behind each sample.
                let counts = lines.peek().is_some_and(|line| line.ends_with(" counter"));
                let ending = if counts { "_total" } else { "" };
                writeln!(text, "# HELP {name}{ending} {help}")?;
            }
            None => match line.strip_suffix(" counter").filter(|_| line.starts_with("# TYPE ")) {
                Some(head) => writeln!(text, "{head}_total counter")?,
                None if line == "# EOF" => {}
                None => writeln!(text, "{line}")?,
            },
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
