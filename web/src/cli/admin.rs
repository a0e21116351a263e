//! `gantry admin`: the way in for the operator of the panel.

use anyhow::Context;
use clap::{Args, Subcommand};
use shared::ids::UserId;
use shared::secret::Secret;

use super::DatabaseArgs;
use crate::auth::password::{Hasher, one_time_password};
use crate::store::Db;
use crate::store::audit::{NewAudit, audit_insert_in_tx};
use crate::store::session::session_delete_of_user_in_tx;
use crate::store::user::{
    Login, NewUser, PasswordLife, UserRole, UserState, user_count, user_fetch_by_login, user_insert_in_tx, user_set_password_in_tx,
    user_set_state_in_tx,
};

#[derive(Debug, Args)]
pub(super) struct Admin {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the first admin and print the one-time password; print nothing if there is an admin already.
    First {
        #[command(flatten)]
        database: DatabaseArgs,
        /// What the admin signs in as.
        #[arg(long, default_value = "admin")]
        login: Login,
    },
    /// Give an admin a new one-time password, print it, and end their sessions.
    Reset {
        #[command(flatten)]
        database: DatabaseArgs,
        /// What the admin signs in as.
        #[arg(long, default_value = "admin")]
        login: Login,
    },
}

impl Admin {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::First { database, login } => {
                let db = open(&database).await?;
                if let Some(password) = first(&db, &login).await? {
                    print_line(password.expose());
                }
                db.close().await;
            }
            Command::Reset { database, login } => {
                let db = open(&database).await?;
                print_line(reset(&db, &login).await?.expose());
                db.close().await;
            }
        }
        Ok(())
    }
}

async fn open(database: &DatabaseArgs) -> anyhow::Result<Db> {
    Db::open(&database.database).await.context("the database could not be opened")
}

async fn first(db: &Db, login: &Login) -> anyhow::Result<Option<Secret<String>>> {
    if user_count(db, UserRole::Admin).await? > 0 {
        return Ok(None);
    }
    let password = one_time_password();
    let password_hash = Hasher::new()?.hash(password.clone()).await?;
    let new = NewUser { id: UserId::new(), login: login.clone(), name: "Administrator".to_owned(), role: UserRole::Admin, password_hash };
    let mut tx = db.write().await?;
    user_insert_in_tx(&mut tx, &new).await.with_context(|| format!("{login} could not be made"))?;
    audit_insert_in_tx(&mut tx, &by_operator("admin.create", login)).await?;
    tx.commit().await?;
    Ok(Some(password))
}

async fn reset(db: &Db, login: &Login) -> anyhow::Result<Secret<String>> {
    let user = user_fetch_by_login(db, login)
        .await?
        .filter(|user| user.role == UserRole::Admin)
        .with_context(|| format!("there is no admin called {login}"))?;
    let password = one_time_password();
    let hash = Hasher::new()?.hash(password.clone()).await?;
    let mut tx = db.write().await?;
    user_set_password_in_tx(&mut tx, user.id, &hash, PasswordLife::Once).await?;
    user_set_state_in_tx(&mut tx, user.id, UserState::Active).await?;
    session_delete_of_user_in_tx(&mut tx, user.id, None).await?;
    audit_insert_in_tx(&mut tx, &by_operator("admin.reset", login)).await?;
    tx.commit().await?;
    Ok(password)
}

fn by_operator<'a>(action: &'a str, login: &'a Login) -> NewAudit<'a> {
    NewAudit { user: None, user_name: "command line", action, subject: login.as_str(), address: "", detail: "" }
}

/// The command's result goes to standard output, alone, so that scripts can take it.
pub(super) fn print_line(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{text}");
}
