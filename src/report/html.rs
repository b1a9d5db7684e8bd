//! placeholder
use super::model::Report;
/// x
pub fn html(_: &Report, _: Option<i32>) -> crate::error::Result<String> {
    Ok(String::new())
}
