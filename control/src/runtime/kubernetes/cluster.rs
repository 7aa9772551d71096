//! The way to the cluster: requests, each with a limit in time, and errors in the runtime's words.

use std::{fmt::Debug, time::Duration};

use k8s_openapi::{
    ClusterResourceScope, NamespaceResourceScope,
    api::core::v1::{Event, Pod},
};
use kube::{
    Api, Client, Config, Resource,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    config::KubeConfigOptions,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::time::Instant;

use super::names::FIELD_MANAGER;
use crate::runtime::RuntimeError;

/// Of one request.
const REQUEST: Duration = Duration::from_secs(10);
/// Of one that an agent waits for, which waits for 10 s in all.
const SHORT: Duration = Duration::from_secs(4);
/// How long a cluster may be away in the middle of a start or a stop.
const PATIENCE: Duration = Duration::from_mins(2);
const SHORTEST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Events of one pod that are looked at.
const EVENTS: u32 = 100;

/// One namespace of one cluster.
#[derive(Clone)]
pub(super) struct Cluster {
    client: Client,
    pub(super) namespace: String,
}

/// Why a cluster can't be spoken to.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error("there is no usable kubeconfig, and this program runs in no cluster")]
    Infer(#[source] Box<kube::config::InferConfigError>),
    #[error("the kubeconfig has no usable context {context:?}")]
    Context { context: String, source: Box<kube::config::KubeconfigError> },
    #[error("the cluster's client can't be made")]
    Client(#[source] Box<kube::Error>),
}

impl Cluster {
    /// Reads the kubeconfig; asks the cluster nothing yet.
    pub(super) async fn open(
        context: Option<&str>,
        namespace: Option<&str>,
    ) -> Result<Self, ClusterError> {
        let config = match context {
            Some(context) => {
                let options =
                    KubeConfigOptions { context: Some(context.to_owned()), ..Default::default() };
                Config::from_kubeconfig(&options).await.map_err(|source| ClusterError::Context {
                    context: context.to_owned(),
                    source: Box::new(source),
                })?
            }
            None => Config::infer().await.map_err(|error| ClusterError::Infer(Box::new(error)))?,
        };
        let namespace = namespace.unwrap_or(&config.default_namespace).to_owned();
        let client =
            Client::try_from(config).map_err(|error| ClusterError::Client(Box::new(error)))?;
        Ok(Self { client, namespace })
    }

    pub(super) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Makes an object as it is wanted: server-side apply, with our own field manager.
    pub(super) async fn apply<K>(&self, object: &Value) -> Result<K, RuntimeError>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let api = self.api::<K>();
        let patch = Patch::Apply(object);
        limited("applying the studio's objects", || api.patch(name, &parameters, &patch)).await
    }

    /// Has the cluster answer a question that is put as an object, and not kept.
    pub(super) async fn ask<K>(&self, what: &'static str, question: &K) -> Result<K, RuntimeError>
    where
        K: Resource<Scope = ClusterResourceScope> + Clone + DeserializeOwned + Serialize + Debug,
        K::DynamicType: Default,
    {
        let api = Api::<K>::all(self.client.clone());
        let parameters = PostParams::default();
        limited(what, || api.create(&parameters, question)).await
    }

    /// The same for one that does not wait.
    pub(super) async fn ask_once<K>(
        &self,
        what: &'static str,
        question: &K,
    ) -> Result<K, RuntimeError>
    where
        K: Resource<Scope = ClusterResourceScope> + Clone + DeserializeOwned + Serialize + Debug,
        K::DynamicType: Default,
    {
        let api = Api::<K>::all(self.client.clone());
        once(what, SHORT, api.create(&PostParams::default(), question)).await
    }

    /// One object, if there is one; for one that does not wait.
    pub(super) async fn get_once<K>(
        &self,
        what: &'static str,
        name: &str,
    ) -> Result<Option<K>, RuntimeError>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        once(what, SHORT, self.api::<K>().get_opt(name)).await
    }

    /// Makes an object, or replaces the version of it that it names; `false`: somebody else was first.
    pub(super) async fn put_once<K>(
        &self,
        what: &'static str,
        name: &str,
        object: &Value,
        new: bool,
    ) -> Result<bool, RuntimeError>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Serialize + Debug,
        K::DynamicType: Default,
    {
        let object: K = serde_json::from_value(object.clone())
            .map_err(|error| RuntimeError::Unavailable { what, source: Box::new(error) })?;
        let (api, parameters) = (self.api::<K>(), PostParams::default());
        let put = async {
            let done = if new {
                api.create(&parameters, &object).await
            } else {
                api.replace(name, &parameters, &object).await
            };
            match done {
                Ok(_) => Ok(true),
                Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
                Err(error) => Err(error),
            }
        };
        once(what, SHORT, put).await
    }

    /// Sets one annotation.
    pub(super) async fn annotate<K>(
        &self,
        name: &str,
        annotation: &str,
        value: &str,
    ) -> Result<(), RuntimeError>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        let patch = serde_json::json!({"metadata": {"annotations": {annotation: value}}});
        let parameters =
            PatchParams { field_manager: Some("atelier-placement".into()), ..Default::default() };
        let api = self.api::<K>();
        let patch = Patch::Merge(&patch);
        limited("keeping where the studio is", || api.patch(name, &parameters, &patch))
            .await
            .map(drop)
    }

    /// Deletes what a selector matches; what they own goes with them.
    pub(super) async fn delete<K>(
        &self,
        selector: &str,
        grace: Option<Duration>,
    ) -> Result<(), RuntimeError>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        let seconds = grace.map(|grace| u32::try_from(grace.as_secs()).unwrap_or(u32::MAX));
        let parameters =
            DeleteParams { grace_period_seconds: seconds, ..DeleteParams::background() };
        let list = ListParams::default().labels(selector);
        let api = self.api::<K>();
        limited("deleting the studio's objects", || api.delete_collection(&parameters, &list))
            .await
            .map(drop)
    }

    /// Deletes one object; well when there is none.
    pub(super) async fn delete_one<K>(&self, name: &str) -> Result<(), RuntimeError>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        let api = self.api::<K>();
        let parameters = DeleteParams::background();
        let deleted = || async {
            match api.delete(name, &parameters).await {
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
                other => other.map(drop),
            }
        };
        limited("deleting an object of the studio", deleted).await
    }

    /// Names of what a selector matches, asked of the cluster itself.
    pub(super) async fn find<K>(&self, selector: &str) -> Result<Vec<String>, RuntimeError>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        let list = ListParams::default().labels(selector);
        let api = self.api::<K>();
        let found =
            limited("looking for the studio's objects", || api.list_metadata(&list)).await?;
        Ok(found.items.into_iter().filter_map(|object| object.metadata.name).collect())
    }

    pub(super) async fn events_of(&self, pod: &Pod) -> Result<Vec<Event>, RuntimeError> {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        let list = ListParams::default().fields(&format!("involvedObject.uid={uid}")).limit(EVENTS);
        let api = self.api::<Event>();
        Ok(limited("reading the pod's events", || api.list(&list)).await?.items)
    }
}

/// Asks again while the cluster is away, since nothing that is asked here does harm twice.
async fn limited<T, F>(what: &'static str, ask: impl Fn() -> F) -> Result<T, RuntimeError>
where
    F: Future<Output = Result<T, kube::Error>>,
{
    let deadline = Instant::now() + PATIENCE;
    let mut pause = SHORTEST_PAUSE;
    loop {
        let error = match once(what, REQUEST, ask()).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if matches!(error, RuntimeError::Refused { .. }) || Instant::now() + pause > deadline {
            return Err(error);
        }
        tracing::warn!(error = &error as &dyn std::error::Error, "the cluster is asked again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn once<T>(
    what: &'static str,
    longest: Duration,
    asked: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, RuntimeError> {
    match tokio::time::timeout(longest, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(in_words(what, error)),
        Err(elapsed) => Err(RuntimeError::Unavailable { what, source: Box::new(elapsed) }),
    }
}

/// What the API server refuses stays refused; all else may pass.
fn in_words(what: &'static str, error: kube::Error) -> RuntimeError {
    let hint = match &error {
        kube::Error::Api(status) => match status.code {
            403 => "check the rights of this program's account in the namespace, and its quotas",
            404 => "check that the namespace is there",
            400 | 422 => "check the configuration's pod settings",
            _ => return RuntimeError::Unavailable { what, source: Box::new(error) },
        },
        _ => return RuntimeError::Unavailable { what, source: Box::new(error) },
    };
    let why = match error {
        kube::Error::Api(status) => status.message,
        other => other.to_string(),
    };
    RuntimeError::Refused { what, why, hint: hint.into() }
}
