//! A value of an attribute file that changed: what is worth telling, and how it is told. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Characters of a value that are shown to a person.
const SHOWN: usize = 120;

/// What is worth telling about a value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// That it is another one, or that the file appeared or vanished.
    Changes,
    /// That, as a number, it rose above this, and that it no longer is.
    Above(f64),
    /// That, as a number, it fell below this, and that it no longer is.
    Below(f64),
}

/// A value that changed, or went beyond its threshold or back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttributeChange {
    /// The file.
    pub path: String,
    /// Which of its values, where it has several: "dp0s0 MII Status".
    pub item: Option<String>,
    /// The interface whose file it is, where the path tells.
    pub interface: Option<String>,
    /// What was watched for.
    pub condition: Condition,
    /// The value before; none if the file was not there.
    pub before: Option<String>,
    /// The value now; none if the file is not there any more. A file that cannot be read has a value
    /// that says why.
    pub now: Option<String>,
}

impl Condition {
    /// True if going from `before` to `now` is worth telling.
    pub fn is_news(self, before: Option<&str>, now: Option<&str>) -> bool {
        match self {
            Self::Changes => before != now,
            Self::Above(_) | Self::Below(_) => self.is_met(before) != self.is_met(now),
        }
    }

    /// True if `value` is a number beyond the threshold.
    pub fn is_met(self, value: Option<&str>) -> bool {
        let Some(number) = value.and_then(|text| text.parse::<f64>().ok()) else { return false };
        match self {
            Self::Changes => false,
            Self::Above(limit) => number > limit,
            Self::Below(limit) => number < limit,
        }
    }
}

impl fmt::Display for AttributeChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if let Some(item) = &self.item {
            write!(f, " {item}")?;
        }
        let shown = |value: &String| cut(&value.replace('\n', " "), SHOWN);
        match self.condition {
            Condition::Changes => {}
            Condition::Above(limit) if self.condition.is_met(self.now.as_deref()) => {
                write!(f, " is above {limit}")?;
            }
            Condition::Below(limit) if self.condition.is_met(self.now.as_deref()) => {
                write!(f, " is below {limit}")?;
            }
            Condition::Above(limit) => write!(f, " is no longer above {limit}")?,
            Condition::Below(limit) => write!(f, " is no longer below {limit}")?,
        }
        match (&self.before, &self.now) {
            (Some(before), Some(now)) => write!(f, ": {} -> {}", shown(before), shown(now)),
            (None, Some(now)) if self.condition == Condition::Changes => {
                write!(f, " appeared: {}", shown(now))
            }
            (None, Some(now)) => write!(f, ": {}", shown(now)),
            (Some(before), None) => write!(f, " vanished, was {}", shown(before)),
            (None, None) => Ok(()),
        }
    }
}

/// The first `length` bytes or a little less, and a sign that there was more.
pub fn cut(text: &str, length: usize) -> String {
    if text.len() <= length {
        return text.to_owned();
    }
    let end = (0..=length).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    format!("{}...", &text[..end])
}
