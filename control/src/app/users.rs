//! Users and groups, managed by administrators.

use std::sync::Arc;

use super::{AppError, audit::AuditLog, error::check_text, login::hash_new};
use crate::{
    clock::SharedClock,
    domain::{
        ids::{GroupName, Login},
        permission::Principal,
        user::{Group, User},
    },
    store::{Store, TokenPurpose},
};

/// A user to be.
#[derive(Debug, Clone)]
pub struct NewUser {
    pub login: Login,
    pub name: String,
    pub email: String,
    pub password: Option<String>,
    pub admin: bool,
    pub groups: Vec<GroupName>,
}

/// What is to change; `None` stays.
#[derive(Debug, Clone, Default)]
pub struct UserChange {
    pub name: Option<String>,
    pub email: Option<String>,
    pub password: Option<String>,
    pub admin: Option<bool>,
}

pub struct UserService {
    store: Arc<dyn Store>,
    clock: SharedClock,
    audit: AuditLog,
}

impl UserService {
    pub fn new(store: Arc<dyn Store>, clock: SharedClock, audit: AuditLog) -> Self {
        Self { store, clock, audit }
    }

    pub async fn create(&self, who: &Principal, new: NewUser) -> Result<User, AppError> {
        who.require_admin()?;
        let user = self.add(new).await?;
        self.audit.record(&who.login, "user.create", &user.login, "").await?;
        Ok(user)
    }

    /// The first administrator of a fresh installation; well when there is one.
    pub async fn ensure_first_administrator(&self, login: &Login) -> Result<(), AppError> {
        if self.store.user(login).await?.is_none() {
            let (name, email) = ("Administrator".to_owned(), String::new());
            self.add(NewUser {
                login: login.clone(),
                name,
                email,
                password: None,
                admin: true,
                groups: vec![],
            })
            .await?;
        }
        Ok(())
    }

    async fn add(&self, new: NewUser) -> Result<User, AppError> {
        check_text("name", &new.name, 100)?;
        check_email(&new.email)?;
        let password_hash = match &new.password {
            Some(password) => Some(hash_new(password).await?),
            None => None,
        };
        let user = User {
            login: new.login,
            name: new.name,
            email: new.email,
            password_hash,
            admin: new.admin,
            created_at: self.clock.now(),
        };
        self.store.create_user(&user).await?;
        for name in new.groups {
            let mut group =
                self.store.group(&name).await?.unwrap_or(Group { name, members: vec![] });
            group.members.push(user.login.clone());
            self.store.put_group(&group).await?;
        }
        Ok(user)
    }

    /// Everybody's names, for administrators.
    pub async fn list(&self, who: &Principal) -> Result<Vec<User>, AppError> {
        who.require_admin()?;
        Ok(self.store.users().await?)
    }

    pub async fn get(&self, who: &Principal, login: &Login) -> Result<User, AppError> {
        if who.login != *login {
            who.require_admin()?;
        }
        self.store.user(login).await?.ok_or_else(|| AppError::not_found("user", login))
    }

    /// An administrator changes anybody; others their own name and address.
    pub async fn change(
        &self,
        who: &Principal,
        login: &Login,
        change: UserChange,
    ) -> Result<User, AppError> {
        if who.login != *login || change.admin.is_some() || change.password.is_some() {
            who.require_admin()?;
        }
        let mut user = self.get(who, login).await?;
        if let Some(name) = change.name {
            check_text("name", &name, 100)?;
            user.name = name;
        }
        if let Some(email) = change.email {
            check_email(&email)?;
            user.email = email;
        }
        if let Some(admin) = change.admin {
            if !admin && who.login == *login {
                return Err(AppError::conflict("administrators can't take their own right away"));
            }
            user.admin = admin;
        }
        if let Some(password) = change.password {
            user.password_hash = Some(hash_new(&password).await?);
            self.store.revoke_tokens(login, TokenPurpose::Session).await?;
        }
        self.store.update_user(&user).await?;
        self.audit.record(&who.login, "user.change", login, "").await?;
        Ok(user)
    }

    pub async fn delete(&self, who: &Principal, login: &Login) -> Result<(), AppError> {
        who.require_admin()?;
        if who.login == *login {
            return Err(AppError::conflict("administrators can't remove themselves"));
        }
        let studios = self.store.studios(None).await?;
        if let Some(studio) = studios.iter().find(|studio| studio.owner == *login) {
            let why = format!(
                "{login} still owns studio {} ({}): delete it or hand it over first",
                studio.name, studio.id
            );
            return Err(AppError::Conflict { why });
        }
        if !self.store.delete_user(login).await? {
            return Err(AppError::not_found("user", login));
        }
        self.audit.record(&who.login, "user.delete", login, "").await
    }

    pub async fn groups(&self, who: &Principal) -> Result<Vec<Group>, AppError> {
        let mut groups = self.store.groups().await?;
        if !who.admin {
            groups.retain(|group| group.members.contains(&who.login));
        }
        Ok(groups)
    }

    pub async fn group(&self, who: &Principal, name: &GroupName) -> Result<Group, AppError> {
        let groups = self.groups(who).await?;
        groups
            .into_iter()
            .find(|group| group.name == *name)
            .ok_or_else(|| AppError::not_found("group", name))
    }

    /// Makes the group, or gives it other members.
    pub async fn put_group(&self, who: &Principal, group: Group) -> Result<Group, AppError> {
        who.require_admin()?;
        for member in &group.members {
            if self.store.user(member).await?.is_none() {
                return Err(AppError::invalid("members", format!("there is no user {member}")));
            }
        }
        self.store.put_group(&group).await?;
        self.audit.record(&who.login, "group.put", &group.name, "").await?;
        Ok(group)
    }

    pub async fn delete_group(&self, who: &Principal, name: &GroupName) -> Result<(), AppError> {
        who.require_admin()?;
        if !self.store.delete_group(name).await? {
            return Err(AppError::not_found("group", name));
        }
        self.audit.record(&who.login, "group.delete", name, "").await
    }
}

/// An address goes into commits, so it has to be one line without brackets; more is not checked.
fn check_email(email: &str) -> Result<(), AppError> {
    if email.chars().count() > 254
        || email.chars().any(|c| c.is_control() || c.is_whitespace() || "<>".contains(c))
    {
        return Err(AppError::invalid("email", "at most 254 characters, without blanks and <>"));
    }
    Ok(())
}
