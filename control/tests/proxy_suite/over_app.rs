//! Access as the use cases decide it, over a real store.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use axum::http::HeaderMap;
use control::{
    app::{
        AppError,
        api_keys::ApiKeyService,
        audit::AuditLog,
        login::LoginService,
        projects::ProjectService,
        studios::{StarterFiles, StudioRemains, StudioService},
        tasks::TaskService,
        templates::TemplateService,
    },
    clock::{Clock as _, SharedClock, SystemClock},
    domain::{
        ids::{BuildId, Login, TemplateId},
        project::Project,
        studio::{DesiredState, Studio, StudioState},
        template::{Template, TemplateVersion},
        user::{Scope, User},
    },
    proxy::{
        Authorizer, KeyVerdict, RouteState, StudioRoute,
        over_app::{AppAuthorizer, SESSION_COOKIE},
    },
    store::{Store, sqlite::Sqlite},
};

use time::OffsetDateTime;

use crate::support::{ID, studio};

struct Nothing;

#[async_trait]
impl StarterFiles for Nothing {
    async fn copy(&self, _: &Studio) -> Result<(), AppError> {
        Ok(())
    }
}

#[async_trait]
impl StudioRemains for Nothing {
    async fn remove(&self, _: &Studio) -> Result<(), AppError> {
        Ok(())
    }
}

struct Office {
    authorizer: AppAuthorizer,
    login: Arc<LoginService>,
    keys: ApiKeyService,
    _folder: tempfile::TempDir,
}

fn login(name: &str) -> Login {
    name.parse().unwrap()
}

async fn template(store: &dyn Store, now: OffsetDateTime) -> TemplateId {
    let head = Template {
        id: TemplateId::random(),
        label: "Python".to_owned(),
        version: 1,
        allowed_groups: Vec::new(),
        updated_at: now,
    };
    let version = TemplateVersion {
        template: head.id.clone(),
        version: 1,
        spec: serde_json::Value::Null,
        resources: BTreeMap::new(),
        saved_by: login("ann"),
        saved_at: now,
    };
    store.create_template(&head, &version).await.unwrap();
    head.id
}

/// A store with Ann, who owns the studio, and Bob, who does not.
async fn office() -> Office {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> =
        Arc::new(Sqlite::open(&folder.path().join("state.db")).await.unwrap());
    let clock: SharedClock = Arc::new(SystemClock);
    let now = clock.now();
    for name in ["ann", "bob"] {
        let user = User {
            login: login(name),
            name: name.to_owned(),
            email: String::new(),
            password_hash: None,
            admin: false,
            created_at: now,
        };
        store.create_user(&user).await.unwrap();
    }
    let project = Project {
        key: "DEMO".parse().unwrap(),
        name: "Demo".to_owned(),
        description: String::new(),
        permissions: Vec::new(),
    };
    store.create_project(&project).await.unwrap();
    let template = template(&*store, now).await;
    let kept = Studio {
        id: ID.parse().unwrap(),
        project: "DEMO".parse().unwrap(),
        name: "Lab".to_owned(),
        owner: login("ann"),
        template,
        template_version: None,
        build: None::<BuildId>,
        desired: DesiredState::Running,
        state: StudioState::Running,
        epoch: 1,
        task: None,
        failure: None,
        created_at: now,
        started_at: None,
    };
    store.create_studio(&kept).await.unwrap();
    let audit = AuditLog::new(store.clone(), clock.clone());
    let login = Arc::new(LoginService::new(store.clone(), clock.clone(), audit.clone()));
    let studios = StudioService::new(
        store.clone(),
        clock.clone(),
        audit.clone(),
        Arc::new(ProjectService::new(store.clone(), audit.clone())),
        Arc::new(TemplateService::new(store.clone(), clock.clone(), audit.clone())),
        TaskService::new(store.clone(), clock.clone()),
        Arc::new(Nothing),
        Arc::new(Nothing),
    );
    let keys = ApiKeyService::new(store, clock, audit);
    let authorizer = AppAuthorizer::new(login.clone(), Arc::new(studios));
    Office { authorizer, login, keys, _folder: folder }
}

fn route() -> StudioRoute {
    studio(ID, RouteState::Running, BTreeMap::new())
}

async fn session(office: &Office, name: &str) -> (String, HeaderMap) {
    let link = office.login.create_link(&login(name)).await.unwrap();
    let token = office.login.by_link(&link).await.unwrap();
    let cookie = format!("x=1; {SESSION_COOKIE}={token}").parse().unwrap();
    (token, HeaderMap::from_iter([(axum::http::header::COOKIE, cookie)]))
}

#[tokio::test]
async fn sessions_open_their_owners_studios_until_they_end() {
    let office = office().await;
    let door = &office.authorizer;
    let (token, cookie) = session(&office, "ann").await;
    let ann = door.session_from_main_cookie(&cookie).await.unwrap();
    assert_eq!(ann.user, login("ann"));
    assert!(!ann.session.contains(&token), "what is kept lets nobody in");
    assert!(door.session_holds(&ann).await);
    assert_eq!(door.may_open(&ann, &route(), 8888).await, Ok(()));
    let (_, cookie) = session(&office, "bob").await;
    let bob = door.session_from_main_cookie(&cookie).await.unwrap();
    assert!(door.may_open(&bob, &route(), 8888).await.is_err());
    let forged = control::proxy::Principal { user: login("ann"), ..bob };
    assert!(!door.session_holds(&forged).await);
    office.login.log_out(&token).await.unwrap();
    assert!(!door.session_holds(&ann).await);
    assert!(door.may_open(&ann, &route(), 8888).await.is_err());
    assert_eq!(door.session_from_main_cookie(&HeaderMap::new()).await, None);
}

#[tokio::test]
async fn keys_open_what_their_scope_allows() {
    let office = office().await;
    let door = &office.authorizer;
    for (scope, opens) in [(Scope::Read, false), (Scope::Write, true), (Scope::Admin, true)] {
        let (_, text) = office.keys.issue(login("ann"), "k", scope, None).await.unwrap();
        let KeyVerdict::Valid(ann) = door.api_key(&text).await else { panic!("{scope:?}") };
        assert_eq!(door.may_open(&ann, &route(), 8888).await.is_ok(), opens, "{scope:?}");
        assert!(door.session_holds(&ann).await);
        assert_eq!(door.api_key(&format!("{text}x")).await, KeyVerdict::Invalid);
    }
    assert_eq!(door.api_key("token-of-the-application").await, KeyVerdict::NotOurs);
    assert_eq!(door.api_key("atl_aaaaaaaa_unknown").await, KeyVerdict::Invalid);
    let past = SystemClock.now() - time::Duration::seconds(1);
    let (_, old) = office.keys.issue(login("ann"), "k", Scope::Admin, Some(past)).await.unwrap();
    assert_eq!(door.api_key(&old).await, KeyVerdict::Invalid);
}
