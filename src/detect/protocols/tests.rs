//! Frames in, findings out.
