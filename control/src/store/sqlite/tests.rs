//! What every store must do, run here on SQLite.

use std::sync::Arc;

use time::{Duration, OffsetDateTime};

use super::Sqlite;
use crate::{
    domain::{
        build::{Build, BuildState, ImageRef},
        ids::{BuildId, StudioId, TaskId, TemplateId},
        mounts::{LastRun, MountStatistics, MountTotals, Moved, SyncCause},
        project::Project,
        studio::{DesiredState, Studio, StudioState},
        task::{StepStatus, Task, TaskKind, TaskState},
        template::{Template, TemplateVersion},
        user::{Group, User},
    },
    store::{
        Accounts, AgentCredential, AgentCredentials, BuildLogLine, Builds, LoginToken, Projects,
        StoreError, Studios, SyncLedger, Tasks, Templates, TokenPurpose,
    },
};

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap()
}

async fn store() -> (tempfile::TempDir, Sqlite) {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&folder.path().join("state.db")).await.unwrap();
    (folder, store)
}

fn user(login: &str) -> User {
    User {
        login: login.parse().unwrap(),
        name: "A".into(),
        email: String::new(),
        password_hash: None,
        admin: false,
        created_at: now(),
    }
}

fn task() -> Task {
    Task {
        id: TaskId::random(),
        kind: TaskKind::StartStudio,
        subject: "abcdefgh".into(),
        state: TaskState::Running,
        result: None,
        failure: None,
        requested_by: "alice".parse().unwrap(),
        created_at: now(),
        ended_at: None,
    }
}

#[tokio::test]
async fn a_deleted_user_leaves_no_membership_and_no_session() {
    let (_folder, store) = store().await;
    let alice = user("alice");
    store.create_user(&alice).await.unwrap();
    assert!(matches!(store.create_user(&alice).await, Err(StoreError::Exists { .. })));
    let group = Group { name: "team".parse().unwrap(), members: vec![alice.login.clone()] };
    store.put_group(&group).await.unwrap();
    assert_eq!(store.groups_of(&alice.login).await.unwrap(), std::slice::from_ref(&group.name));
    let token = LoginToken {
        hash: vec![1],
        purpose: TokenPurpose::Session,
        login: alice.login.clone(),
        created_at: now(),
        expires_at: now() + Duration::HOUR,
    };
    store.create_token(&token).await.unwrap();
    assert!(store.delete_user(&alice.login).await.unwrap());
    assert_eq!(store.group(&group.name).await.unwrap().unwrap().members, []);
    assert_eq!(store.token(&[1], TokenPurpose::Session).await.unwrap(), None);
}

#[tokio::test]
async fn a_link_works_for_exactly_one_of_many_callers() {
    let (_folder, store) = store().await;
    store.create_user(&user("alice")).await.unwrap();
    let token = LoginToken {
        hash: vec![7; 32],
        purpose: TokenPurpose::Link,
        login: "alice".parse().unwrap(),
        created_at: now(),
        expires_at: now(),
    };
    store.create_token(&token).await.unwrap();
    assert_eq!(store.take_token(&[7; 32], TokenPurpose::Session).await.unwrap(), None);
    let store = Arc::new(store);
    let takers = (0..8).map(|_| {
        let store = Arc::clone(&store);
        async move { store.take_token(&[7; 32], TokenPurpose::Link).await.unwrap().is_some() }
    });
    let taken = futures_util::future::join_all(takers).await;
    assert_eq!(taken.into_iter().filter(|taken| *taken).count(), 1);
}

#[tokio::test]
async fn events_are_numbered_without_holes_and_a_task_ends_once() {
    let (_folder, store) = store().await;
    let mut task = task();
    store.create_task(&task).await.unwrap();
    let appends = (0..20).map(|i| {
        store.append_event(
            &task.id,
            now(),
            "files",
            StepStatus::Progress,
            if i % 2 == 0 { "a" } else { "b" },
        )
    });
    futures_util::future::try_join_all(appends).await.unwrap();
    let seqs: Vec<u64> =
        store.task_events(&task.id, 5, 100).await.unwrap().iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (6..=20).collect::<Vec<_>>());
    task.state = TaskState::Succeeded;
    task.ended_at = Some(now());
    assert!(store.end_task(&task).await.unwrap());
    task.state = TaskState::Failed;
    assert!(!store.end_task(&task).await.unwrap());
    assert_eq!(store.task(&task.id).await.unwrap().unwrap().state, TaskState::Succeeded);
}

#[tokio::test]
async fn of_two_savers_of_one_template_one_is_told_that_it_is_stale() {
    let (_folder, store) = store().await;
    let mut head = Template {
        id: TemplateId::random(),
        label: "Python".into(),
        version: 1,
        allowed_groups: vec![],
        updated_at: now(),
    };
    let version = |number| TemplateVersion {
        template: head.id.clone(),
        version: number,
        spec: serde_json::json!({"n": number}),
        resources: [("a.sh".to_owned(), "d".to_owned())].into(),
        saved_by: "alice".parse().unwrap(),
        saved_at: now(),
    };
    let (first, second) = (version(1), version(2));
    store.create_template(&head, &first).await.unwrap();
    head.version = 2;
    store.save_template(&head, &second).await.unwrap();
    assert!(matches!(store.save_template(&head, &second).await, Err(StoreError::Stale { .. })));
    assert_eq!(store.template_versions(&head.id).await.unwrap(), [second, first]);
}

#[tokio::test]
async fn the_newest_good_build_stays_in_use_when_a_later_one_fails() {
    let (_folder, store) = store().await;
    let head = Template {
        id: TemplateId::random(),
        label: "P".into(),
        version: 1,
        allowed_groups: vec![],
        updated_at: now(),
    };
    let version = TemplateVersion {
        template: head.id.clone(),
        version: 1,
        spec: serde_json::Value::Null,
        resources: [].into(),
        saved_by: "alice".parse().unwrap(),
        saved_at: now(),
    };
    store.create_template(&head, &version).await.unwrap();
    let build = |state, digest: &str, minute: i64| Build {
        id: BuildId::random(),
        template: head.id.clone(),
        template_version: 1,
        state,
        image: Some(ImageRef {
            builder: "prefix".into(),
            reference: digest.into(),
            digest: digest.into(),
        }),
        failure: None,
        no_cache: false,
        requested_by: "alice".parse().unwrap(),
        created_at: now(),
        started_at: None,
        ended_at: Some(now() + Duration::minutes(minute)),
    };
    let (old, good, failed) = (
        build(BuildState::Succeeded, "old", 1),
        build(BuildState::Succeeded, "good", 2),
        build(BuildState::Failed, "no", 3),
    );
    for build in [&old, &good, &failed] {
        store.create_build(build).await.unwrap();
        store.update_build(build).await.unwrap();
    }
    assert_eq!(store.good_build(&head.id).await.unwrap().unwrap(), good);
    assert_eq!(store.images_in_use().await.unwrap(), [good.image.clone().unwrap()]);
    let line = |text: &str| BuildLogLine {
        seq: 0,
        at: now(),
        node: "n".into(),
        stream: "stdout".into(),
        text: text.into(),
    };
    assert_eq!(store.append_build_log(&good.id, &[line("a"), line("b")]).await.unwrap(), 2);
    assert_eq!(store.append_build_log(&good.id, &[line("c")]).await.unwrap(), 3);
    let texts: Vec<String> =
        store.build_log(&good.id, 1, 10).await.unwrap().into_iter().map(|l| l.text).collect();
    assert_eq!(texts, ["b", "c"]);
}

async fn studio(store: &Sqlite) -> Studio {
    let project = Project {
        key: "DEMO".parse().unwrap(),
        name: "d".into(),
        description: String::new(),
        permissions: vec![],
    };
    store.create_project(&project).await.unwrap();
    let studio = Studio {
        id: StudioId::random(),
        project: project.key,
        name: "mine".into(),
        owner: "alice".parse().unwrap(),
        template: TemplateId::random(),
        template_version: None,
        build: None,
        desired: DesiredState::Stopped,
        state: StudioState::Stopped,
        epoch: 0,
        task: None,
        failure: None,
        created_at: now(),
        started_at: None,
    };
    store.create_studio(&studio).await.unwrap();
    studio
}

#[tokio::test]
async fn statistics_of_mounts_are_replaced_and_go_with_their_studio() {
    let (_folder, store) = store().await;
    let studio = studio(&store).await;
    let statistics = |runs| MountStatistics {
        last: LastRun {
            cause: SyncCause::Live,
            began_at: now(),
            took_ms: 7,
            failure: Some("why".into()),
            moved: Moved { to_server: 1, ..Moved::default() },
            skipped: 0,
            questions: 1,
        },
        totals: MountTotals { since: now(), runs, failed: 1, moved: Moved::default() },
    };
    store.put_mount_statistics(&studio.id, "m", &statistics(1)).await.unwrap();
    store.put_mount_statistics(&studio.id, "m", &statistics(2)).await.unwrap();
    let kept = store.mount_statistics(&studio.id).await.unwrap();
    assert_eq!(kept, [("m".to_owned(), statistics(2))]);
    assert!(store.delete_studio(&studio.id).await.unwrap());
    // A run that ends after its studio.
    store.put_mount_statistics(&studio.id, "m", &statistics(3)).await.unwrap();
    assert_eq!(store.mount_statistics(&studio.id).await.unwrap(), []);
}

#[tokio::test]
async fn a_bootstrap_token_is_exchanged_once_and_only_in_its_epoch() {
    let (_folder, store) = store().await;
    let studio = studio(&store).await;
    let credential = |epoch, session: Option<Vec<u8>>| AgentCredential {
        studio: studio.id.clone(),
        epoch,
        bootstrap_hash: Some(vec![1]),
        unconfirmed_hash: None,
        session_hash: session,
        pod_uid: "pod".into(),
        boot_id: "boot".into(),
    };
    store.put_agent_credential(&credential(2, None)).await.unwrap();
    assert!(!store.exchange_agent_credential(&credential(1, Some(vec![9])), &[1]).await.unwrap());
    assert!(!store.exchange_agent_credential(&credential(2, Some(vec![9])), &[2]).await.unwrap());
    assert!(store.exchange_agent_credential(&credential(2, Some(vec![9])), &[1]).await.unwrap());
    // The same process may ask again until it has shown its key; nobody else may.
    let other = AgentCredential { boot_id: "other".into(), ..credential(2, Some(vec![7])) };
    assert!(!store.exchange_agent_credential(&other, &[1]).await.unwrap());
    assert!(store.exchange_agent_credential(&credential(2, Some(vec![8])), &[1]).await.unwrap());
    store.confirm_agent_session(&studio.id).await.unwrap();
    assert!(!store.exchange_agent_credential(&credential(2, Some(vec![7])), &[1]).await.unwrap());
    assert_eq!(
        store.agent_credential(&studio.id).await.unwrap().unwrap().session_hash,
        Some(vec![8])
    );
}

#[tokio::test]
async fn what_was_kept_is_there_when_the_file_is_opened_again() {
    let (folder, store) = store().await;
    let task = task();
    store.create_task(&task).await.unwrap();
    crate::store::Store::close(&store).await;
    let store = Sqlite::open(&folder.path().join("state.db")).await.unwrap();
    assert_eq!(store.running_tasks().await.unwrap(), [task]);
}
