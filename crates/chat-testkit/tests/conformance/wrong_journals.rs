//! Journals that break one rule each, and what the suite says of them.
