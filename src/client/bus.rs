//! A bus of events, for programs that embed the client: publishers need not know who listens.

use actix::prelude::*;

use super::Event;

/// Passes events on to everyone who has subscribed.
#[derive(Default)]
pub struct Bus {
    subscribers: Vec<Recipient<Event>>,
}

/// From now on, events go to this recipient too.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Subscribe(pub Recipient<Event>);

/// Something happened.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Publish(pub Event);

impl Actor for Bus {
    type Context = Context<Self>;
}

impl Handler<Subscribe> for Bus {
    type Result = ();

    fn handle(&mut self, Subscribe(subscriber): Subscribe, _: &mut Self::Context) {
        self.subscribers.push(subscriber);
    }
}

impl Handler<Publish> for Bus {
    type Result = ();

    fn handle(&mut self, Publish(event): Publish, _: &mut Self::Context) {
        self.subscribers.retain(Recipient::connected);
        for subscriber in &self.subscribers {
            subscriber.do_send(event.clone());
        }
    }
}
