//! Users and groups.

use axum::{
    Json,
    extract::{State as Extract, rejection::JsonRejection},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    State,
    caller::Caller,
    extract::{Path, Query},
    page::{Items, PageQuery},
    problem::Result,
};
use crate::{
    app::users::{NewUser, UserChange},
    domain::{
        ids::{GroupName, Login},
        user::{Group, User},
    },
};

pub(super) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new()
        .routes(routes!(list_users, create_user))
        .routes(routes!(get_user, change_user, delete_user))
        .routes(routes!(list_groups, create_group))
        .routes(routes!(get_group, put_group, delete_group))
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UserView {
    pub login: Login,
    pub name: String,
    pub email: String,
    pub admin: bool,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            login: user.login,
            name: user.name,
            email: user.email,
            admin: user.admin,
            created_at: user.created_at,
        }
    }
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUserBody {
    pub login: Login,
    pub name: String,
    #[serde(default)]
    pub email: String,
    /// 10 characters at least; none: no log-in by password.
    #[serde(default)]
    pub password: Option<String>,
    #[serde(default)]
    pub admin: bool,
    #[serde(default)]
    pub groups: Vec<GroupName>,
}

/// What is to change; what is left out stays.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserChangeBody {
    pub name: Option<String>,
    pub email: Option<String>,
    pub password: Option<String>,
    pub admin: Option<bool>,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupView {
    pub name: GroupName,
    #[serde(default)]
    pub members: Vec<Login>,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MembersBody {
    pub members: Vec<Login>,
}

impl From<Group> for GroupView {
    fn from(group: Group) -> Self {
        Self { name: group.name, members: group.members }
    }
}

/// All users; for administrators.
#[utoipa::path(get, path = "/users", operation_id = "listUsers", tag = "users", params(PageQuery),
    responses((status = 200, body = Items<UserView>)))]
async fn list_users(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Items<UserView>>> {
    let users = services.users.list(&who).await?.into_iter().map(UserView::from).collect();
    Ok(Json(page.cut(users, |user: &UserView| user.login.to_string())))
}

/// A new user.
#[utoipa::path(post, path = "/users", operation_id = "createUser", tag = "users", request_body = NewUserBody,
    responses((status = 201, body = UserView), (status = 409), (status = 422)))]
async fn create_user(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    body: std::result::Result<Json<NewUserBody>, JsonRejection>,
) -> Result<(StatusCode, Json<UserView>)> {
    let Json(body) = body?;
    let NewUserBody { login, name, email, password, admin, groups } = body;
    let user = services
        .users
        .create(&who, NewUser { login, name, email, password, admin, groups })
        .await?;
    Ok((StatusCode::CREATED, Json(user.into())))
}

#[utoipa::path(get, path = "/users/{login}", operation_id = "getUser", tag = "users", params(("login" = String, Path)),
    responses((status = 200, body = UserView), (status = 404)))]
async fn get_user(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(login): Path<String>,
) -> Result<Json<UserView>> {
    Ok(Json(services.users.get(&who, &login.parse()?).await?.into()))
}

#[utoipa::path(patch, path = "/users/{login}", operation_id = "changeUser", tag = "users", params(("login" = String, Path)),
    request_body = UserChangeBody, responses((status = 200, body = UserView), (status = 404)))]
async fn change_user(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(login): Path<String>,
    body: std::result::Result<Json<UserChangeBody>, JsonRejection>,
) -> Result<Json<UserView>> {
    let Json(UserChangeBody { name, email, password, admin }) = body?;
    let change = UserChange { name, email, password, admin };
    Ok(Json(services.users.change(&who, &login.parse()?, change).await?.into()))
}

#[utoipa::path(delete, path = "/users/{login}", operation_id = "deleteUser", tag = "users", params(("login" = String, Path)),
    responses((status = 204), (status = 404), (status = 409)))]
async fn delete_user(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(login): Path<String>,
) -> Result<StatusCode> {
    services.users.delete(&who, &login.parse()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Groups: all for administrators, their own for others.
#[utoipa::path(get, path = "/groups", operation_id = "listGroups", tag = "users", params(PageQuery),
    responses((status = 200, body = Items<GroupView>)))]
async fn list_groups(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Items<GroupView>>> {
    let groups = services.users.groups(&who).await?.into_iter().map(GroupView::from).collect();
    Ok(Json(page.cut(groups, |group: &GroupView| group.name.to_string())))
}

#[utoipa::path(post, path = "/groups", operation_id = "createGroup", tag = "users", request_body = GroupView,
    responses((status = 201, body = GroupView), (status = 422)))]
async fn create_group(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    body: std::result::Result<Json<GroupView>, JsonRejection>,
) -> Result<(StatusCode, Json<GroupView>)> {
    let Json(GroupView { name, members }) = body?;
    let group = services.users.put_group(&who, Group { name, members }).await?;
    Ok((StatusCode::CREATED, Json(group.into())))
}

#[utoipa::path(get, path = "/groups/{name}", operation_id = "getGroup", tag = "users", params(("name" = String, Path)),
    responses((status = 200, body = GroupView), (status = 404)))]
async fn get_group(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(name): Path<String>,
) -> Result<Json<GroupView>> {
    Ok(Json(services.users.group(&who, &name.parse()?).await?.into()))
}

#[utoipa::path(put, path = "/groups/{name}", operation_id = "putGroup", tag = "users", params(("name" = String, Path)),
    request_body = MembersBody, responses((status = 200, body = GroupView), (status = 422)))]
async fn put_group(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(name): Path<String>,
    body: std::result::Result<Json<MembersBody>, JsonRejection>,
) -> Result<Json<GroupView>> {
    let Json(MembersBody { members }) = body?;
    Ok(Json(services.users.put_group(&who, Group { name: name.parse()?, members }).await?.into()))
}

#[utoipa::path(delete, path = "/groups/{name}", operation_id = "deleteGroup", tag = "users", params(("name" = String, Path)),
    responses((status = 204), (status = 404)))]
async fn delete_group(
    Extract(services): Extract<State>,
    Caller(who): Caller,
    Path(name): Path<String>,
) -> Result<StatusCode> {
    services.users.delete_group(&who, &name.parse()?).await?;
    Ok(StatusCode::NO_CONTENT)
}
