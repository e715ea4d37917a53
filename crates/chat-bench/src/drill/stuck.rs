//! `stuck-reader`: a member that never reads must not slow down other members, and may cost the server little memory.

use std::time::Duration;

use super::findings::{Findings, grouped};
use super::stage::Stage;
use super::witness::{Where, Witnesses};
use crate::generator::{Generator, Goal, Phase};
use crate::launch::Server;
use crate::peer::{Chat, Who};
use crate::proc;
use crate::workload::{Workload, WorkloadName};

/// Time without a delivery after which a run fails.
const STALL: Duration = Duration::from_secs(10);

/// The number of stuck members in the run that measures the memory of a stuck member. The memory of only one stuck
/// member would be less than the variation of the allocator.
const MANY: usize = 100;

struct Run {
    phase: Phase,
    growth_kib: f64,
    /// The growth of the kernel's socket memory, where unread bytes wait first, in KiB.
    kernel_kib: f64,
}

pub(super) async fn run(stage: &Stage<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    let (members, messages, payload) = stage.pick((1000, 10_000, 512), (20, 6_000, 1024));
    let mut workload = Workload::standard(WorkloadName::D);
    (workload.members, workload.payload) = (members - 1, payload);
    findings.did(format!(
        "{} members, one of which never reads; {} messages of {payload} bytes, checked at each member",
        grouped(members as u64),
        grouped(messages)
    ));
    findings.did(format!(
        "the same without it, and with {MANY} such members, each with a new server; the witnesses are in another room"
    ));
    let none = measure(stage, &workload, 0, messages, findings).await?;
    let one = measure(stage, &workload, 1, messages, findings).await?;
    let many = measure(stage, &workload, MANY, messages, findings).await?;
    let each = (many.growth_kib - none.growth_kib).max(0.0) / MANY as f64;
    findings.figure("growth without", format!("{:.0} KiB", none.growth_kib));
    findings.figure("growth with 1", format!("{:.0} KiB", one.growth_kib));
    findings.figure(
        &format!("growth with {MANY}"),
        format!("{:.0} KiB", many.growth_kib),
    );
    let alone = (one.growth_kib - none.growth_kib).max(0.0);
    findings.below("more with 1 than without", alone, 1024.0, "KiB");
    findings.below(&format!("more for each of {MANY}"), each, 1024.0, "KiB");
    let kernel = (many.kernel_kib - none.kernel_kib) / MANY as f64;
    findings.figure(
        "kernel memory for each (no bound)",
        format!("{kernel:.0} KiB"),
    );
    let rate = |run: &Run| run.phase.deliveries as f64 / run.phase.elapsed.as_secs_f64();
    findings.figure("deliveries a second without", grouped(rate(&none) as u64));
    findings.figure("deliveries a second with 1", grouped(rate(&one) as u64));
    let expected = messages * (members as u64 - 2);
    findings.exactly(
        "deliveries to the others with 1",
        one.phase.deliveries,
        expected,
    );
    // The bound allows a factor of two, because other work on the machine can also slow down a run.
    findings.below("slower with 1", rate(&none) / rate(&one), 2.0, "times");
    Ok(())
}

async fn measure(
    stage: &Stage<'_>,
    workload: &Workload,
    stuck: usize,
    messages: u64,
    findings: &mut Findings,
) -> anyhow::Result<Run> {
    let server = stage.start(workload.members + stuck + 16, &["--history", "0"])?;
    let witnesses = Witnesses::begin(server.port(), Where::OwnRoom).await?;
    let run = publish(stage, workload, stuck, messages, &server)?;
    if stuck == 1 {
        witnesses.testify(findings).await?;
    } else {
        witnesses.testify(&mut Findings::default()).await?;
    }
    Ok(run)
}

/// Runs the generator on this thread, and blocks the thread until the run ends. The witnesses run on other threads.
fn publish(
    stage: &Stage<'_>,
    workload: &Workload,
    stuck: usize,
    messages: u64,
    server: &Server,
) -> anyhow::Result<Run> {
    let chat = Chat {
        program: stage.program().to_owned(),
        extra: Vec::new(),
    };
    let mut generator = Generator::new(&chat, workload, server.port(), STALL)?;
    generator.connect_all()?;
    // The log and all buffers must reach their full size before the memory is first read.
    generator.run(Goal::Messages(messages / 3))?;
    generator.settle()?;
    let newcomers: Vec<Who> = (0..stuck).map(Who::Stuck).collect();
    generator.connect(&newcomers)?;
    let kernel = proc::socket_memory_kib()? as f64;
    let before = proc::resident_kib(server.pid())?;
    let phase = generator.run(Goal::Messages(messages))?;
    let growth_kib = proc::resident_kib(server.pid())? as f64 - before as f64;
    generator.settle()?;
    let kernel_kib = proc::socket_memory_kib()? as f64 - kernel;
    generator.hang_up();
    Ok(Run {
        phase,
        growth_kib,
        kernel_kib,
    })
}
