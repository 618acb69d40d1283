//! What inputs that serve clients have in common: they serve until they are stopped, and then sum up what clients did wrong.

use std::future::Future;

use flb_event::ChunkBuilder;
use flb_plugin::{BoxFuture, Closed, Context, End, Input, InputError};

use crate::shared::complaints::{Complaint, Complaints};
use flb_net::places::Place;
use flb_net::server::Server;
use flb_net::stream::{Client, Left};

/// What all connections have in common.
pub(crate) trait Clients: Send + Sync {
    /// What a client can do wrong.
    type Wrong: Complaint;

    /// Serves one connection to its end, or until another input goes on with it.
    fn serve(
        &self,
        client: Client,
        context: &dyn Context,
    ) -> impl Future<Output = Option<Left>> + Send;

    /// What clients did wrong.
    fn complaints(&self) -> &Complaints<Self::Wrong>;
}

/// Gives the pipeline what came of one connection, if there are records; meanwhile the client counts as at work.
pub(crate) async fn hand_on(
    batch: ChunkBuilder,
    place: &Place,
    context: &dyn Context,
) -> Result<(), Closed> {
    if !batch.is_empty() {
        place.begin();
        context.emit(batch.build()).await?;
        place.done(context.now().sec);
    }
    Ok(())
}

/// An input that serves clients.
pub(crate) struct Served<C> {
    pub(crate) server: Server,
    pub(crate) clients: C,
}

impl<C: Clients> Input for Served<C> {
    fn run<'a>(self: Box<Self>, context: &'a dyn Context) -> BoxFuture<'a, Result<End, InputError>>
    where
        Self: 'a,
    {
        Box::pin(async move {
            let Self { server, clients } = *self;
            let handle = |client| clients.serve(client, context);
            server.run(context, handle).await?;
            clients.complaints().sum_up();
            Ok(End::Quiet)
        })
    }
}

/// Runs `client` against an input, then stops it; the records that came out.
#[cfg(test)]
pub(crate) fn serve<C: Clients, F: Future<Output = ()>>(
    input: impl FnOnce() -> Served<C>,
    client: impl FnOnce(String, flb_harness::net::Desk) -> F,
) -> Vec<String> {
    let begin = || {
        let input = input();
        let address = input.server.address();
        (input, address)
    };
    flb_harness::net::serve(begin, client)
}
