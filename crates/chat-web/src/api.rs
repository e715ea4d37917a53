//! Requests for programs: publishing, history, search, rooms and server-sent events.
