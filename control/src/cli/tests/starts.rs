//! Starts and stops, seen step by step. The test carries the tasks out, as the reconciler would.

use std::time::Duration;

use serde_json::json;

use super::{Ended, World};
use crate::{
    app::tasks::{Ending, TaskHandle},
    domain::{studio::StartStep, task::StepStatus},
};

impl World {
    /// A studio that can be started.
    async fn startable(&self) {
        self.json(&["project", "create", "SALES", "Sales"]).await;
        self.template("T").await;
        let Ended(code, said) = self.call(&["template", "build", "T", "--follow"]).await;
        assert_eq!(code, 0, "{said}");
        self.json(&["studio", "create", "mine", "-t", "T", "-p", "SALES"]).await;
    }

    /// The task that a verb has begun.
    async fn begun(&self) -> TaskHandle {
        let look = async {
            loop {
                if let [task] = self.services.tasks.unfinished().await.unwrap().as_slice() {
                    return self.services.tasks.resume(&task.id).await;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), look).await.expect("a task begins")
    }
}

#[tokio::test]
async fn a_start_says_how_it_goes_and_how_it_ended() {
    let world = World::new().await;
    world.startable().await;
    let start = ["studio", "start", "mine"];
    let ((Ended(code, said), err), ()) = tokio::join!(world.calls(&start), async {
        let task = world.begun().await;
        task.step(StartStep::Image, StepStatus::Began, "").await.unwrap();
        task.step(StartStep::Image, StepStatus::Progress, "half\u{1b}[2J").await.unwrap();
        task.step(StartStep::Image, StepStatus::Done, "it is there").await.unwrap();
        task.end(Ending::Succeeded(json!({}))).await.unwrap();
    });
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("succeeded"), "{said}");
    assert_eq!(err, "image began\nimage: half\u{fffd}[2J\nimage done: it is there\n");
}

#[tokio::test]
async fn a_start_that_fails_is_an_error_and_json_is_the_task_alone() {
    let world = World::new().await;
    world.startable().await;
    let start = ["studio", "start", "mine", "--json"];
    let ((Ended(code, said), err), ()) = tokio::join!(world.calls(&start), async {
        let task = world.begun().await;
        task.step(StartStep::Pod, StepStatus::Failed, "no room").await.unwrap();
        task.end(Ending::Failed("pod: there is no room".into())).await.unwrap();
    });
    assert_eq!((code, said.as_str(), err.as_str()), (1, "pod: there is no room", ""));
}

#[tokio::test]
async fn nobody_is_made_to_wait() {
    let world = World::new().await;
    world.startable().await;
    let task = world.json(&["studio", "start", "mine", "--no-wait"]).await;
    assert_eq!(task["state"], "running");
    let Ended(code, why) = world.call(&["studio", "start", "mine", "--timeout", "0"]).await;
    assert_eq!((code, why.contains("goes on")), (1, true), "{why}");
    assert_eq!(world.begun().await.id().to_string(), task["id"], "it is the same task");
}
