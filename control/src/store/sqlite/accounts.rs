use async_trait::async_trait;
use sqlx::{query, sqlite::SqliteRow};
use time::OffsetDateTime;

use super::{
    Sqlite,
    row::{at, at_option, exists, get, ms, name_of, named, parsed},
};
use crate::{
    domain::{
        ids::{ApiKeyId, GroupName, Login},
        user::{ApiKey, Group, User},
    },
    store::{Accounts, LoginToken, Result, TokenPurpose},
};

fn user(row: &SqliteRow) -> Result<User> {
    Ok(User {
        login: parsed(row, "login")?,
        name: get(row, "name")?,
        email: get(row, "email")?,
        password_hash: get(row, "password_hash")?,
        admin: get(row, "admin")?,
        created_at: at(row, "created_at")?,
    })
}

fn api_key(row: &SqliteRow) -> Result<ApiKey> {
    Ok(ApiKey {
        id: parsed(row, "id")?,
        login: parsed(row, "login")?,
        label: get(row, "label")?,
        scope: named(row, "scope")?,
        secret_hash: get(row, "secret_hash")?,
        created_at: at(row, "created_at")?,
        expires_at: at_option(row, "expires_at")?,
    })
}

const fn purpose_name(purpose: TokenPurpose) -> &'static str {
    match purpose {
        TokenPurpose::Session => "session",
        TokenPurpose::Link => "link",
    }
}

fn token(row: &SqliteRow, purpose: TokenPurpose) -> Result<LoginToken> {
    Ok(LoginToken {
        hash: get(row, "hash")?,
        purpose,
        login: parsed(row, "login")?,
        created_at: at(row, "created_at")?,
        expires_at: at(row, "expires_at")?,
    })
}

#[async_trait]
impl Accounts for Sqlite {
    async fn create_user(&self, user: &User) -> Result<()> {
        query("INSERT INTO users (login, name, email, password_hash, admin, created_at) VALUES (?, ?, ?, ?, ?, ?)")
            .bind(user.login.as_str())
            .bind(&user.name)
            .bind(&user.email)
            .bind(&user.password_hash)
            .bind(user.admin)
            .bind(ms(user.created_at))
            .execute(&self.write)
            .await
            .map_err(exists("user", &user.login))?;
        Ok(())
    }

    async fn update_user(&self, user: &User) -> Result<bool> {
        let done = query(
            "UPDATE users SET name = ?, email = ?, password_hash = ?, admin = ? WHERE login = ?",
        )
        .bind(&user.name)
        .bind(&user.email)
        .bind(&user.password_hash)
        .bind(user.admin)
        .bind(user.login.as_str())
        .execute(&self.write)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn delete_user(&self, login: &Login) -> Result<bool> {
        let done = query("DELETE FROM users WHERE login = ?")
            .bind(login.as_str())
            .execute(&self.write)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn user(&self, login: &Login) -> Result<Option<User>> {
        let row = query("SELECT * FROM users WHERE login = ?")
            .bind(login.as_str())
            .fetch_optional(&self.read)
            .await?;
        row.as_ref().map(user).transpose()
    }

    async fn users(&self) -> Result<Vec<User>> {
        query("SELECT * FROM users ORDER BY login")
            .fetch_all(&self.read)
            .await?
            .iter()
            .map(user)
            .collect()
    }

    async fn put_group(&self, group: &Group) -> Result<()> {
        let mut tx = self.write.begin().await?;
        let name = group.name.as_str();
        query("INSERT INTO group_names (name) VALUES (?) ON CONFLICT DO NOTHING")
            .bind(name)
            .execute(&mut *tx)
            .await?;
        query("DELETE FROM group_members WHERE name = ?").bind(name).execute(&mut *tx).await?;
        for member in &group.members {
            query("INSERT INTO group_members (name, login) VALUES (?, ?) ON CONFLICT DO NOTHING")
                .bind(name)
                .bind(member.as_str())
                .execute(&mut *tx)
                .await?;
        }
        Ok(tx.commit().await?)
    }

    async fn delete_group(&self, name: &GroupName) -> Result<bool> {
        let done = query("DELETE FROM group_names WHERE name = ?")
            .bind(name.as_str())
            .execute(&self.write)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn group(&self, name: &GroupName) -> Result<Option<Group>> {
        Ok(self.groups().await?.into_iter().find(|group| group.name == *name))
    }

    async fn groups(&self) -> Result<Vec<Group>> {
        let rows = query(
            "SELECT group_names.name, group_members.login FROM group_names LEFT JOIN group_members USING (name) \
             ORDER BY group_names.name, group_members.login",
        )
        .fetch_all(&self.read)
        .await?;
        let mut groups: Vec<Group> = Vec::new();
        for row in &rows {
            let name: GroupName = parsed(row, "name")?;
            if groups.last().is_none_or(|group| group.name != name) {
                groups.push(Group { name, members: Vec::new() });
            }
            if let (Some(group), Some(login)) =
                (groups.last_mut(), super::row::parsed_option(row, "login")?)
            {
                group.members.push(login);
            }
        }
        Ok(groups)
    }

    async fn groups_of(&self, login: &Login) -> Result<Vec<GroupName>> {
        query("SELECT name FROM group_members WHERE login = ? ORDER BY name")
            .bind(login.as_str())
            .fetch_all(&self.read)
            .await?
            .iter()
            .map(|row| parsed(row, "name"))
            .collect()
    }

    async fn create_api_key(&self, key: &ApiKey) -> Result<()> {
        query(
            "INSERT INTO api_keys (id, login, label, scope, secret_hash, created_at, expires_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(key.id.as_str())
        .bind(key.login.as_str())
        .bind(&key.label)
        .bind(name_of(&key.scope))
        .bind(&key.secret_hash)
        .bind(ms(key.created_at))
        .bind(key.expires_at.map(ms))
        .execute(&self.write)
        .await
        .map_err(exists("API key", &key.id))?;
        Ok(())
    }

    async fn delete_api_key(&self, id: &ApiKeyId) -> Result<bool> {
        let done = query("DELETE FROM api_keys WHERE id = ?")
            .bind(id.as_str())
            .execute(&self.write)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn api_key(&self, id: &ApiKeyId) -> Result<Option<ApiKey>> {
        let row = query("SELECT * FROM api_keys WHERE id = ?")
            .bind(id.as_str())
            .fetch_optional(&self.read)
            .await?;
        row.as_ref().map(api_key).transpose()
    }

    async fn api_keys_of(&self, login: &Login) -> Result<Vec<ApiKey>> {
        query("SELECT * FROM api_keys WHERE login = ? ORDER BY created_at, id")
            .bind(login.as_str())
            .fetch_all(&self.read)
            .await?
            .iter()
            .map(api_key)
            .collect()
    }

    async fn create_token(&self, token: &LoginToken) -> Result<()> {
        query("INSERT INTO login_tokens (hash, purpose, login, created_at, expires_at) VALUES (?, ?, ?, ?, ?)")
            .bind(&token.hash)
            .bind(purpose_name(token.purpose))
            .bind(token.login.as_str())
            .bind(ms(token.created_at))
            .bind(ms(token.expires_at))
            .execute(&self.write)
            .await?;
        Ok(())
    }

    async fn token(&self, hash: &[u8], purpose: TokenPurpose) -> Result<Option<LoginToken>> {
        let row = query("SELECT * FROM login_tokens WHERE hash = ? AND purpose = ?")
            .bind(hash)
            .bind(purpose_name(purpose))
            .fetch_optional(&self.read)
            .await?;
        row.as_ref().map(|row| token(row, purpose)).transpose()
    }

    async fn take_token(&self, hash: &[u8], purpose: TokenPurpose) -> Result<Option<LoginToken>> {
        let row = query("DELETE FROM login_tokens WHERE hash = ? AND purpose = ? RETURNING *")
            .bind(hash)
            .bind(purpose_name(purpose))
            .fetch_optional(&self.write)
            .await?;
        row.as_ref().map(|row| token(row, purpose)).transpose()
    }

    async fn revoke_tokens(&self, login: &Login, purpose: TokenPurpose) -> Result<()> {
        query("DELETE FROM login_tokens WHERE login = ? AND purpose = ?")
            .bind(login.as_str())
            .bind(purpose_name(purpose))
            .execute(&self.write)
            .await?;
        Ok(())
    }

    async fn expire_tokens(&self, now: OffsetDateTime) -> Result<()> {
        query("DELETE FROM login_tokens WHERE expires_at <= ?")
            .bind(ms(now))
            .execute(&self.write)
            .await?;
        Ok(())
    }
}
