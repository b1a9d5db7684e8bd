//! A line of the control socket, each way, and the content of a file in the trigger directory.
#![no_main]

use dashcap::api::protocol::{answer, answered, command, request};
use dashcap::observation::request::one_line;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &[u8]| {
    if let Ok(wish) = request(line) {
        assert_eq!(request(command(&wish).as_bytes()), Ok(wish));
    }
    if let Ok(told) = answered(line) {
        assert!(answered(answer(&told).as_bytes()).is_ok());
    }
    let line = one_line(&String::from_utf8_lossy(line), 40);
    assert!(line.chars().count() <= 40 && !line.chars().any(char::is_control));
});
