//! What the bus has of what the servers need, asked for in a few requests however many servers there are.

use std::collections::HashSet;

use futures::TryStreamExt;
use serde::Deserialize;

use super::BusError;
use super::panel::DispatchBus;
use crate::names::ServerName;

/// The bus's answer about accounts.
#[derive(Deserialize)]
struct Accounts {
    #[serde(default)]
    data: Vec<String>,
}

impl DispatchBus {
    /// Those of these servers whose consumer or account the bus does not have. What they hold is not looked at.
    ///
    /// # Errors
    /// The bus does not answer.
    pub async fn missing<'a>(&self, stream: &str, servers: &[&'a ServerName]) -> Result<Vec<&'a ServerName>, BusError> {
        let stream = self.context.get_stream(stream).await.map_err(|source| BusError::refused("find a stream", source))?;
        let consumers: HashSet<String> =
            stream.consumer_names().try_collect().await.map_err(|source| BusError::refused("list the consumers", source))?;
        let reply = self.ask_system("$SYS.REQ.CLAIMS.LIST", String::new()).await?;
        let accounts: Accounts =
            serde_json::from_slice(&reply.payload).map_err(|source| BusError::Undecodable { what: "list of accounts", source })?;
        let accounts: HashSet<String> = accounts.data.into_iter().collect();
        let mut missing = Vec::new();
        for server in servers {
            if !consumers.contains(server.as_str()) || !accounts.contains(&self.keys.worker_account(server)?) {
                missing.push(*server);
            }
        }
        Ok(missing)
    }
}
