// The shop on tonic: shop PORT FAULT, where the fault "sound" is none.
use std::pin::Pin;

use tokio_stream::{Stream, StreamExt};
use tonic::{transport::Server, Request, Response, Status, Streaming};

pub mod pb {
    tonic::include_proto!("shop.v1");
}
use pb::shop_server::{Shop, ShopServer};
use pb::*;

struct Service {
    fault: String,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Shop for Service {
    async fn get_item(&self, request: Request<GetItemRequest>) -> Result<Response<Item>, Status> {
        let asked = request.into_inner();
        if asked.id.len() > 1000 {
            return Err(Status::invalid_argument("id: at most 1000 octets"));
        }
        if self.fault == "slices-text" && asked.id.len() > 8 {
            // Panics inside a character of several octets, which resets the call.
            return Ok(Response::new(Item { id: asked.id[..8].to_string(), ..Default::default() }));
        }
        if self.fault == "aborts" && asked.color < 0 {
            std::process::abort();
        }
        Ok(Response::new(Item { id: asked.id, title: "rose".into(), price: 1.5, color: asked.color, ..Default::default() }))
    }

    async fn list_items(&self, request: Request<ListItemsRequest>) -> Result<Response<ListItemsResponse>, Status> {
        let size = request.into_inner().page_size;
        if size < 0 {
            return Err(Status::invalid_argument("page_size: not below 0"));
        }
        let items = (0..size.min(20)).map(|number| Item { id: number.to_string(), title: "rose".into(), ..Default::default() });
        Ok(Response::new(ListItemsResponse { items: items.collect(), next_page_token: "MTAw".into() }))
    }

    async fn quote(&self, request: Request<Order>) -> Result<Response<QuoteResponse>, Status> {
        let order = request.into_inner();
        let mut total = 0.0;
        for line in &order.lines {
            if line.quantity <= 0 || line.quantity >= 1_000_000 {
                return Err(Status::invalid_argument("quantity: out of range"));
            }
            total += 9.99 * f64::from(line.quantity);
        }
        let text = order.address.map(|address| address.city).unwrap_or_default();
        Ok(Response::new(QuoteResponse { total, lines: order.lines.len() as i32, text }))
    }

    type WatchStream = Answers<Item>;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let asked = request.into_inner();
        if !(0..=1000).contains(&asked.count) || asked.prefix.len() > 1000 {
            return Err(Status::invalid_argument("count: 0 to 1000; prefix: at most 1000 octets"));
        }
        let items = (0..asked.count).map(move |number| Ok(Item { id: format!("{}{number}", asked.prefix), ..Default::default() }));
        Ok(Response::new(Box::pin(tokio_stream::iter(items))))
    }

    async fn upload(&self, request: Request<Streaming<Chunk>>) -> Result<Response<Summary>, Status> {
        let mut chunks = request.into_inner();
        let mut answer = Summary::default();
        while let Some(chunk) = chunks.next().await {
            answer.size += chunk?.data.len() as i64;
            answer.chunks += 1;
        }
        Ok(Response::new(answer))
    }

    type ChatStream = Answers<Line>;

    async fn chat(&self, request: Request<Streaming<Line>>) -> Result<Response<Self::ChatStream>, Status> {
        let lines = request.into_inner().map(|line| {
            let line = line?;
            if line.text.len() > 1000 {
                return Err(Status::invalid_argument("text: at most 1000 octets"));
            }
            Ok(line)
        });
        Ok(Response::new(Box::pin(lines)))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = format!("127.0.0.1:{}", arguments.next().expect("PORT")).parse()?;
    let fault = arguments.next().expect("FAULT");
    Server::builder().max_concurrent_streams(100).add_service(ShopServer::new(Service { fault })).serve(address).await?;
    Ok(())
}
