//! Conversations over in-memory streams, in paused time.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{
    AsyncBufReadExt, BufReader, DuplexStream, Lines as LineReader, ReadBuf, ReadHalf, WriteHalf,
    duplex, empty, split,
};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::*;

/// The other ends of a conversation: the server, the keyboard and the screen.
struct Desk {
    from_client: LineReader<BufReader<ReadHalf<DuplexStream>>>,
    to_client: WriteHalf<DuplexStream>,
    keyboard: DuplexStream,
    screen: LineReader<BufReader<DuplexStream>>,
}

impl Desk {
    async fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).await.unwrap();
    }

    async fn ends_the_input(&mut self) {
        self.keyboard.shutdown().await.unwrap();
    }

    async fn server_says(&mut self, text: &str) {
        self.to_client.write_all(text.as_bytes()).await.unwrap();
    }

    async fn server_closes(&mut self) {
        self.to_client.shutdown().await.unwrap();
    }

    /// Expects that the server receives this line next. `None` expects that the client closes its sending side.
    async fn server_gets(&mut self, expected: Option<&str>) {
        let line = timeout(PATIENCE, self.from_client.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("the server waits for {expected:?}"));
        assert_eq!(line.unwrap().as_deref(), expected);
    }

    /// Expects that this line is printed next. `None` expects the end of the output.
    async fn screen_shows(&mut self, expected: Option<&str>) {
        let line = timeout(PATIENCE, self.screen.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("the screen waits for {expected:?}"));
        assert_eq!(line.unwrap().as_deref(), expected);
    }
}

thread_local! {
    /// The day of November on which the conversation takes place.
    static TODAY: Cell<i8> = const { Cell::new(24) };
}

fn today() -> Date {
    jiff::civil::date(2026, 11, TODAY.get())
}

/// The result of a conversation, and its duration.
type Outcome = (Result<(), ConversationError>, Duration);

/// Runs a conversation while `script` acts as the server, the keyboard and the screen. These stay open until the
/// conversation has ended.
async fn play(
    opening: &str,
    at_input_end: AtInputEnd,
    script: impl AsyncFnOnce(&mut Desk, &Notify),
) -> Outcome {
    let (server, client) = duplex(64 * 1024);
    let (keyboard, input) = duplex(64 * 1024);
    let (output, screen) = duplex(1024);
    let (from_client, to_client) = split(server);
    let plan = Plan {
        opening: opening.to_owned(),
        at_input_end,
        today,
    };
    let ctrl_c = Notify::new();
    let mut desk = Desk {
        from_client: BufReader::new(from_client).lines(),
        to_client,
        keyboard,
        screen: BufReader::new(screen).lines(),
    };
    let begin = Instant::now();
    let conversation = async {
        let hold = hold(client, input, output, &plan, || ctrl_c.notified());
        let result = timeout(FOR_EVER, hold)
            .await
            .expect("the conversation ends");
        (result, begin.elapsed())
    };
    tokio::join!(conversation, script(&mut desk, &ctrl_c)).0
}

/// Longer than any conversation of these tests. Time is paused, so this duration passes at once.
const FOR_EVER: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test(start_paused = true)]
async fn lines_go_out_and_lines_come_in() {
    let (result, _) = play("/nick kim\n", AtInputEnd::Leave, async |desk, _| {
        desk.server_gets(Some("/nick kim")).await;
        desk.server_says("* you are now kim\n").await;
        desk.screen_shows(Some("* you are now kim")).await;
        desk.types("hello\nthere\n").await;
        desk.server_gets(Some("hello")).await;
        desk.server_gets(Some("there")).await;
        desk.server_says("14:02 alice: \u{1b}[31mhi\n").await;
        desk.screen_shows(Some("14:02 alice: [31mhi")).await;
        desk.ends_the_input().await;
        desk.server_gets(None).await;
        desk.server_says("* goodbye\n").await;
        desk.server_closes().await;
        desk.screen_shows(Some("* goodbye")).await;
        desk.screen_shows(None).await;
    })
    .await;
    assert!(result.is_ok(), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn a_new_day_is_said_before_what_comes_first_on_it() {
    let (result, _) = play("", AtInputEnd::Leave, async |desk, _| {
        desk.server_says("23:59 alice: good night\n23:").await;
        desk.screen_shows(Some("23:59 alice: good night")).await;
        TODAY.set(25);
        // An incomplete line is not printed.
        desk.server_says("59 bob: ").await;
        desk.server_says("you too\n00:01 alice: still here?\n")
            .await;
        desk.screen_shows(Some("* 2026-11-25 (today)")).await;
        desk.screen_shows(Some("23:59 bob: you too")).await;
        desk.screen_shows(Some("00:01 alice: still here?")).await;
        desk.server_says("00:02 bob: yes\n").await;
        desk.screen_shows(Some("00:02 bob: yes")).await;
        desk.ends_the_input().await;
        desk.server_gets(None).await;
        desk.server_closes().await;
        desk.screen_shows(None).await;
    })
    .await;
    assert!(result.is_ok(), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pause_in_the_middle_of_a_line_does_not_cut_it() {
    let (result, _) = play("", AtInputEnd::Leave, async |desk, _| {
        desk.types("hel").await;
        let line = timeout(PATIENCE, desk.from_client.next_line()).await;
        assert!(line.is_err(), "a piece went out: {line:?}");
        desk.types("lo\nlast").await;
        desk.server_gets(Some("hello")).await;
        desk.ends_the_input().await;
        desk.server_gets(Some("last")).await;
        desk.server_gets(None).await;
        desk.server_closes().await;
    })
    .await;
    assert!(result.is_ok(), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn with_stay_the_end_of_the_input_ends_nothing() {
    let (result, lasted) = play("", AtInputEnd::Stay, async |desk, _| {
        desk.types("last").await;
        desk.ends_the_input().await;
        desk.server_gets(Some("last")).await;
        for _ in 0..10 {
            let line = timeout(2 * PATIENCE, desk.from_client.next_line()).await;
            assert!(line.is_err(), "our side was closed");
            desk.server_says("14:02 alice: still there?\n").await;
            desk.screen_shows(Some("14:02 alice: still there?")).await;
        }
        desk.server_closes().await;
    })
    .await;
    assert!(
        matches!(result, Err(ConversationError::ServerClosed)),
        "{result:?}"
    );
    assert!(lasted >= 20 * PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_closes_is_an_error() {
    let (result, _) = play("", AtInputEnd::Leave, async |desk, _| {
        desk.server_says("* goodbye: the server is shutting down")
            .await;
        desk.server_closes().await;
        desk.screen_shows(Some("* goodbye: the server is shutting down"))
            .await;
    })
    .await;
    assert!(
        matches!(result, Err(ConversationError::ServerClosed)),
        "{result:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_closes_after_quit_is_none() {
    let (result, _) = play("", AtInputEnd::Leave, async |desk, _| {
        desk.types("/quit good night\n").await;
        desk.server_gets(Some("/quit good night")).await;
        desk.server_says("* goodbye\n").await;
        desk.server_closes().await;
        desk.screen_shows(Some("* goodbye")).await;
    })
    .await;
    assert!(result.is_ok(), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_given_up() {
    let (result, lasted) = play("", AtInputEnd::Leave, async |desk, _| {
        desk.ends_the_input().await;
        desk.server_gets(None).await;
    })
    .await;
    assert!(
        matches!(result, Err(ConversationError::NoAnswer)),
        "{result:?}"
    );
    assert!((PATIENCE..2 * PATIENCE).contains(&lasted), "{lasted:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_goes_on_talking_is_not_given_up() {
    let (result, lasted) = play("", AtInputEnd::Leave, async |desk, _| {
        desk.ends_the_input().await;
        for _ in 0..10 {
            let silence = timeout(PATIENCE * 4 / 5, desk.screen.next_line()).await;
            assert!(silence.is_err());
            desk.server_says("14:02 alice: wait\n").await;
            desk.screen_shows(Some("14:02 alice: wait")).await;
        }
        desk.server_closes().await;
    })
    .await;
    assert!(result.is_ok(), "{result:?}");
    assert!(lasted >= PATIENCE * 8);
}

#[tokio::test(start_paused = true)]
async fn many_lines_may_take_their_time() {
    // At the server's default rate 1,000 lines take 196 seconds, in which the server sends nothing to a line-mode
    // client.
    let (result, lasted) = play("", AtInputEnd::Leave, async |desk, _| {
        desk.types(&"hello\n".repeat(1_000)).await;
        desk.ends_the_input().await;
        let silence = timeout(Duration::from_secs(196), desk.screen.next_line()).await;
        assert!(silence.is_err(), "given up: {silence:?}");
        desk.server_closes().await;
    })
    .await;
    assert!(result.is_ok(), "{result:?}");
    assert!(lasted >= Duration::from_secs(196));
}

#[tokio::test(start_paused = true)]
async fn the_time_for_many_lines_is_bounded_too() {
    let (result, lasted) = play("", AtInputEnd::Leave, async |desk, _| {
        desk.types(&"hello\n".repeat(1_000)).await;
        desk.ends_the_input().await;
    })
    .await;
    assert!(
        matches!(result, Err(ConversationError::NoAnswer)),
        "{result:?}"
    );
    assert!(lasted <= 1_001 * LINE_TIME + PATIENCE, "{lasted:?}");
}

#[tokio::test(start_paused = true)]
async fn ctrl_c_says_quit_and_waits_for_the_goodbye() {
    let (result, lasted) = play("", AtInputEnd::Leave, async |desk, ctrl_c| {
        desk.types("hello\nunfinished").await;
        desk.server_gets(Some("hello")).await;
        ctrl_c.notify_one();
        desk.server_gets(Some("")).await;
        desk.server_gets(Some("/quit")).await;
        desk.server_gets(None).await;
        desk.server_says("* goodbye\n").await;
        desk.screen_shows(Some("* goodbye")).await;
        desk.server_closes().await;
    })
    .await;
    assert!(result.is_ok(), "{result:?}");
    assert!(lasted < GOODBYE_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn ctrl_c_does_not_wait_for_a_deaf_server() {
    let (result, lasted) = play("", AtInputEnd::Stay, async |desk, ctrl_c| {
        // This input is more than the connection holds, and the server does not read.
        desk.types(&"x".repeat(40_000)).await;
        desk.types(&"\nx".repeat(40_000)).await;
        ctrl_c.notify_one();
    })
    .await;
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(lasted, GOODBYE_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_second_ctrl_c_ends_at_once() {
    let (result, lasted) = play("", AtInputEnd::Leave, async |desk, ctrl_c| {
        ctrl_c.notify_one();
        desk.server_gets(Some("")).await;
        ctrl_c.notify_one();
    })
    .await;
    assert!(result.is_ok(), "{result:?}");
    assert!(lasted < GOODBYE_TIMEOUT, "{lasted:?}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_screen_is_not_taken_for_a_silent_server() {
    let (result, lasted) = play("", AtInputEnd::Leave, async |desk, _| {
        desk.ends_the_input().await;
        // This output is more than the screen takes at once.
        desk.server_says(&"14:02 alice: hello\n".repeat(200)).await;
        desk.server_closes().await;
        let never = timeout(10 * PATIENCE, desk.from_client.next_line()).await;
        assert!(matches!(never, Ok(Ok(None))));
        tokio::time::sleep(10 * PATIENCE).await;
        for _ in 0..200 {
            desk.screen_shows(Some("14:02 alice: hello")).await;
        }
    })
    .await;
    assert!(result.is_ok(), "{result:?}");
    assert!(lasted >= 10 * PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn it_ends_quietly_when_nobody_reads_what_it_prints() {
    let (mut server, client) = duplex(1024);
    let (_keyboard, input) = duplex(1024);
    let (output, screen) = duplex(1024);
    drop(screen);
    server.write_all(b"* goodbye\n").await.unwrap();
    let plan = Plan {
        opening: String::new(),
        at_input_end: AtInputEnd::Leave,
        today,
    };
    let result = hold(client, input, output, &plan, future::pending::<()>).await;
    assert!(result.is_ok(), "{result:?}");
}

/// A connection that breaks after these bytes.
struct Breaking(&'static [u8]);

impl AsyncRead for Breaking {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.0.is_empty() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        buf.put_slice(std::mem::take(&mut self.0));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Breaking {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_connection_is_an_error_and_its_last_words_are_shown() {
    for opening in ["", "hello\n"] {
        let plan = Plan {
            opening: opening.to_owned(),
            at_input_end: AtInputEnd::Leave,
            today,
        };
        let mut output = Vec::new();
        let stream = Breaking(b"! too many connections\nbye");
        let result = hold(stream, empty(), &mut output, &plan, future::pending::<()>).await;
        assert!(
            matches!(result, Err(ConversationError::ConnectionLost(_))),
            "{result:?}"
        );
        assert_eq!(output, b"! too many connections\nbye\n");
    }
}
