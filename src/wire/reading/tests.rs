//! Real captures, made-up frames and nonsense, read.
