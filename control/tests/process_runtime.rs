//! The `process` runtime with real processes: a shell script stands for the agent.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use control::{
    domain::{build::ImageRef, ids::StudioId},
    runtime::{
        Placement, PodSpec, PodState, Runtime,
        fake::FakeRuntime,
        process::{ProcessConfig, ProcessRuntime},
    },
};

struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    fn new(agent: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let machine = Self { folder };
        fs::create_dir_all(machine.path("prefix/images/one")).unwrap();
        fs::create_dir_all(machine.path("prefix/nodes")).unwrap();
        fs::write(machine.path("secret"), "of the control plane").unwrap();
        fs::write(machine.path("agent"), format!("#!/bin/sh\n{agent}\n")).unwrap();
        fs::set_permissions(machine.path("agent"), fs::Permissions::from_mode(0o755)).unwrap();
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    fn runtime(&self) -> ProcessRuntime {
        let config = ProcessConfig {
            root: self.path("run"),
            images: self.path("prefix/images"),
            launcher: env!("CARGO_BIN_EXE_atelier").into(),
            agent: self.path("agent"),
            env: BTreeMap::new(),
            node_name: "here".into(),
        };
        ProcessRuntime::open(config).unwrap()
    }

    fn read(&self, studio: &StudioId, file: &str) -> Option<String> {
        fs::read_to_string(self.path("run").join(studio.as_str()).join(file)).ok()
    }
}

fn spec(studio: &StudioId, epoch: u64) -> PodSpec {
    PodSpec {
        attested: false,
        studio: studio.clone(),
        project: "DEMO".parse().unwrap(),
        owner: "alice".parse().unwrap(),
        epoch,
        image: ImageRef { builder: "prefix".into(), reference: "one".into(), digest: "one".into() },
        agent_env: [("ATELIER_TOKEN".to_owned(), "secret".to_owned())].into(),
        ports: vec![],
        overrides: serde_json::Value::Null,
        termination_grace: Duration::from_secs(5),
    }
}

async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(tokio::time::Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Or dead, and not yet reaped. Its command line would not do: it is empty for a moment at each exec, too.
fn gone(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat"));
    stat.map_or(true, |stat| {
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['Z', 'X']))
    })
}

#[tokio::test]
async fn a_pod_outlives_the_driver_is_found_again_and_ends_wholly() {
    // The grandchild neither listens to SIGTERM nor stays in the group.
    let machine = Machine::new(
        "setsid sh -c 'trap \"\" TERM; echo $$ >$HOME/orphan; sleep 600' & trap 'exit 0' TERM; while :; do sleep 0.05; done",
    );
    let studio = StudioId::random();
    let placement: Placement = {
        let runtime = machine.runtime();
        let placement = runtime.ensure_studio(&spec(&studio, 1)).await.unwrap();
        assert_eq!(runtime.ensure_studio(&spec(&studio, 1)).await.unwrap(), placement);
        placement
    };
    let orphan = until("the orphan starts", || {
        machine.read(&studio, "home/orphan").filter(|text| text.ends_with('\n'))
    })
    .await;
    let runtime = machine.runtime();
    assert_eq!(
        runtime.observe_studio(&studio).await.unwrap(),
        PodState::Running(placement.clone())
    );
    // A new epoch is a new pod at the same address.
    let second = runtime.ensure_studio(&spec(&studio, 2)).await.unwrap();
    assert!(
        second.pod_uid != placement.pod_uid && second.listen_address == placement.listen_address
    );
    until("the first pod's orphan is gone", || gone(&orphan).then_some(())).await;
    fs::write(Path::new(&second.workspace).join("kept"), "x").unwrap();
    runtime.remove_studio(&studio, Duration::from_secs(5), true).await.unwrap();
    assert_eq!(runtime.observe_studio(&studio).await.unwrap(), PodState::Absent);
    assert!(machine.read(&studio, "workspace/kept").is_some());
    runtime.remove_studio(&studio, Duration::from_secs(5), false).await.unwrap();
    assert!(!machine.path("run").join(studio.as_str()).exists());
    assert!(runtime.list_studios().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_agent_that_is_killed_is_told_of_with_its_last_words() {
    let machine = Machine::new("echo famous last words; sleep 600");
    let (runtime, studio) = (machine.runtime(), StudioId::random());
    runtime.ensure_studio(&spec(&studio, 1)).await.unwrap();
    until("it speaks", || machine.read(&studio, "agent.log").filter(|log| log.contains("famous")))
        .await;
    let pid = machine.read(&studio, "agent.pid").unwrap();
    let pid = serde_json::from_str::<serde_json::Value>(&pid).unwrap()["pid"].as_i64().unwrap();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    let changed = tokio::time::timeout(Duration::from_secs(20), runtime.changed()).await.unwrap();
    assert_eq!(changed, studio);
    let PodState::Ended { reason, .. } = runtime.observe_studio(&studio).await.unwrap() else {
        panic!("it has ended")
    };
    assert!(reason.contains("famous last words"), "{reason}");
    runtime.remove_studio(&studio, Duration::from_secs(5), false).await.unwrap();
}

#[tokio::test]
async fn a_program_that_can_not_be_executed_is_told_at_once() {
    let machine = Machine::new("true");
    let (runtime, studio) = (machine.runtime(), StudioId::random());
    fs::remove_file(machine.path("agent")).unwrap();
    let error = runtime.ensure_studio(&spec(&studio, 1)).await;
    // The launcher writes its identity down before it becomes the program, so that either the start or the state tells.
    if let Err(error) = error {
        assert!(format!("{error:?}").contains("ended at once"), "{error:?}");
        return;
    }
    let changed = tokio::time::timeout(Duration::from_secs(20), runtime.changed()).await.unwrap();
    let PodState::Ended { reason, .. } = runtime.observe_studio(&changed).await.unwrap() else {
        panic!("ended")
    };
    assert!(reason.contains("can't be executed"), "{reason}");
}

#[tokio::test]
async fn a_studio_sees_neither_the_server_nor_another_studio() {
    if !landlock_is_there() {
        println!("skipped: this kernel has no Landlock");
        return;
    }
    let machine = Machine::new(
        r#"cat "$HOME/../../../secret" >$HOME/out 2>&1; cat "$HOME/../../$OTHER/workspace/file" >>$HOME/out 2>&1
        (echo x >"$HOME/../../$OTHER/workspace/new") 2>>$HOME/out; ls "$HOME/../.." >>$HOME/out 2>&1
        kill -0 $VICTIM >>$HOME/out 2>&1 && echo signalled >>$HOME/out
        cat "$HOME/../../../prefix/images/one/tool" >$HOME/image 2>&1; echo done >$HOME/done; sleep 600"#,
    );
    fs::write(machine.path("prefix/images/one/tool"), "tool").unwrap();
    let (runtime, studio, other) = (machine.runtime(), StudioId::random(), StudioId::random());
    fs::create_dir_all(machine.path("run").join(other.as_str()).join("workspace")).unwrap();
    fs::write(machine.path("run").join(other.as_str()).join("workspace/file"), "of another studio")
        .unwrap();
    let mut spec = spec(&studio, 1);
    spec.agent_env.insert("OTHER".into(), other.to_string());
    spec.agent_env.insert("VICTIM".into(), std::process::id().to_string());
    runtime.ensure_studio(&spec).await.unwrap();
    until("it is done", || machine.read(&studio, "home/done")).await;
    let out = machine.read(&studio, "home/out").unwrap();
    assert!(!out.contains("of the control plane") && !out.contains("of another studio"), "{out}");
    assert!(!out.contains("signalled"), "{out}");
    let lower = out.to_lowercase();
    assert_eq!(
        lower.matches("denied").count() + lower.matches("not permitted").count(),
        5,
        "{out}"
    );
    assert!(!machine.path("run").join(other.as_str()).join("workspace/new").exists());
    assert_eq!(machine.read(&studio, "home/image").unwrap(), "tool");
    runtime.remove_studio(&studio, Duration::from_secs(5), false).await.unwrap();
}

fn landlock_is_there() -> bool {
    fs::read_to_string("/sys/kernel/security/lsm").is_ok_and(|lsm| lsm.contains("landlock"))
        || fs::read_to_string("/proc/kallsyms")
            .is_ok_and(|symbols| symbols.contains("landlock_restrict_self"))
}

/// What every runtime does. `end` makes the pod's process end on its own.
async fn conforms(runtime: &dyn Runtime, end: impl AsyncFn(&StudioId)) {
    let (studio, other) = (StudioId::random(), StudioId::random());
    let grace = Duration::from_secs(5);
    assert_eq!(runtime.observe_studio(&studio).await.unwrap(), PodState::Absent);
    runtime.remove_studio(&studio, grace, false).await.unwrap();

    // Made once an epoch, beside others.
    let first = runtime.ensure_studio(&spec(&studio, 1)).await.unwrap();
    assert_eq!(runtime.ensure_studio(&spec(&studio, 1)).await.unwrap(), first);
    let beside = runtime.ensure_studio(&spec(&other, 1)).await.unwrap();
    assert!(beside.pod_uid != first.pod_uid && beside.address != first.address);
    let second = runtime.ensure_studio(&spec(&studio, 2)).await.unwrap();
    assert_ne!(second.pod_uid, first.pod_uid);
    assert_eq!(runtime.observe_studio(&studio).await.unwrap(), PodState::Running(second.clone()));

    // An end of its own is told of, and is another pod's beginning.
    end(&studio).await;
    let told = async {
        while runtime.changed().await != studio
            || matches!(runtime.observe_studio(&studio).await.unwrap(), PodState::Running(_))
        {
        }
    };
    tokio::time::timeout(Duration::from_secs(20), told).await.expect("an end is told of");
    let ended = runtime.observe_studio(&studio).await.unwrap();
    assert!(
        matches!(&ended, PodState::Ended { placement, reason } if *placement == second && !reason.is_empty()),
        "{ended:?}"
    );
    let third = runtime.ensure_studio(&spec(&studio, 3)).await.unwrap();
    assert_ne!(third.pod_uid, second.pod_uid);

    // Removed, one alone, and again.
    let mut listed = runtime.list_studios().await.unwrap();
    listed.sort_by_key(|(studio, _)| studio.clone());
    let mut expected = [
        (studio.clone(), PodState::Running(third)),
        (other.clone(), PodState::Running(beside.clone())),
    ];
    expected.sort_by_key(|(studio, _)| studio.clone());
    assert_eq!(listed, expected);
    for _ in 0..2 {
        runtime.remove_studio(&studio, grace, false).await.unwrap();
        assert_eq!(runtime.observe_studio(&studio).await.unwrap(), PodState::Absent);
    }
    assert_eq!(runtime.list_studios().await.unwrap(), [(other.clone(), PodState::Running(beside))]);
    runtime.remove_studio(&other, grace, false).await.unwrap();
}

#[tokio::test]
async fn the_fake_conforms() {
    let runtime = FakeRuntime::default();
    conforms(&runtime, async |studio| runtime.end(studio, "it was told to").await).await;
}

#[tokio::test]
async fn process_conforms() {
    let machine = Machine::new("trap 'exit 0' TERM; while [ ! -e $HOME/end ]; do sleep 0.02; done");
    let end = async |studio: &StudioId| {
        fs::write(machine.path("run").join(studio.as_str()).join("home/end"), "").unwrap();
        until("it has ended", || {
            machine.read(studio, "agent.pid").filter(|pid| {
                let pid = serde_json::from_str::<serde_json::Value>(pid).unwrap();
                gone(&pid["pid"].to_string())
            })
        })
        .await;
        fs::remove_file(machine.path("run").join(studio.as_str()).join("home/end")).unwrap();
    };
    conforms(&machine.runtime(), end).await;
}
