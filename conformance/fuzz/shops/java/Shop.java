import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.StreamObserver;
import java.net.InetSocketAddress;
import shop.v1.ShopGrpc;
import shop.v1.ShopOuterClass.Chunk;
import shop.v1.ShopOuterClass.GetItemRequest;
import shop.v1.ShopOuterClass.Item;
import shop.v1.ShopOuterClass.Line;
import shop.v1.ShopOuterClass.ListItemsRequest;
import shop.v1.ShopOuterClass.ListItemsResponse;
import shop.v1.ShopOuterClass.Order;
import shop.v1.ShopOuterClass.OrderLine;
import shop.v1.ShopOuterClass.QuoteResponse;
import shop.v1.ShopOuterClass.Summary;
import shop.v1.ShopOuterClass.WatchRequest;

/** The shop on grpc-java: Shop PORT FAULT, where the fault "sound" is none. */
public final class Shop extends ShopGrpc.ShopImplBase {
  private final String fault;

  private Shop(String fault) {
    this.fault = fault;
  }

  private static StatusRuntimeException refused(String why) {
    return Status.INVALID_ARGUMENT.withDescription(why).asRuntimeException();
  }

  private static <T> void answer(StreamObserver<T> to, T message) {
    to.onNext(message);
    to.onCompleted();
  }

  @Override
  public void getItem(GetItemRequest request, StreamObserver<Item> to) {
    if (request.getId().length() > 1000) {
      to.onError(refused("id: at most 1000 characters"));
      return;
    }
    if (fault.equals("unnamed-enum")) {
      request.getColor().getNumber();
    }
    answer(to, Item.newBuilder().setId(request.getId()).setTitle("rose").setPrice(1.5).setColorValue(request.getColorValue()).build());
  }

  @Override
  public void listItems(ListItemsRequest request, StreamObserver<ListItemsResponse> to) {
    if (request.getPageSize() < 0) {
      to.onError(refused("page_size: not below 0"));
      return;
    }
    ListItemsResponse.Builder made = ListItemsResponse.newBuilder().setNextPageToken("MTAw");
    for (int number = 0; number < Math.min(request.getPageSize(), 20); number++) {
      made.addItems(Item.newBuilder().setId("" + number).setTitle("rose"));
    }
    answer(to, made.build());
  }

  @Override
  public void quote(Order order, StreamObserver<QuoteResponse> to) {
    double total = 0;
    for (OrderLine line : order.getLinesList()) {
      if (line.getQuantity() <= 0 || line.getQuantity() >= 1_000_000) {
        to.onError(refused("quantity: out of range"));
        return;
      }
      total += 9.99 * line.getQuantity();
    }
    answer(to, QuoteResponse.newBuilder().setTotal(total).setLines(order.getLinesCount()).setText(order.getAddress().getCity()).build());
  }

  @Override
  public void watch(WatchRequest request, StreamObserver<Item> to) {
    if (request.getCount() < 0 || request.getCount() > 1000 || request.getPrefix().length() > 1000) {
      to.onError(refused("count: 0 to 1000; prefix: at most 1000 characters"));
      return;
    }
    for (int number = 0; number < request.getCount(); number++) {
      to.onNext(Item.newBuilder().setId(request.getPrefix() + number).build());
    }
    to.onCompleted();
  }

  @Override
  public StreamObserver<Chunk> upload(StreamObserver<Summary> to) {
    Summary.Builder made = Summary.newBuilder();
    return new StreamObserver<Chunk>() {
      @Override
      public void onNext(Chunk chunk) {
        made.setSize(made.getSize() + chunk.getData().size()).setChunks(made.getChunks() + 1);
      }

      @Override
      public void onError(Throwable error) {}

      @Override
      public void onCompleted() {
        answer(to, made.build());
      }
    };
  }

  @Override
  public StreamObserver<Line> chat(StreamObserver<Line> to) {
    return new StreamObserver<Line>() {
      private boolean ended;

      @Override
      public void onNext(Line line) {
        if (ended) {
          return;
        }
        if (line.getText().length() > 1000) {
          ended = true;
          to.onError(refused("text: at most 1000 characters"));
          return;
        }
        to.onNext(line);
      }

      @Override
      public void onError(Throwable error) {}

      @Override
      public void onCompleted() {
        if (!ended) {
          to.onCompleted();
        }
      }
    };
  }

  public static void main(String[] arguments) throws Exception {
    InetSocketAddress address = new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[0]));
    NettyServerBuilder.forAddress(address)
        .maxConcurrentCallsPerConnection(100)
        .addService(new Shop(arguments[1]))
        .build()
        .start()
        .awaitTermination();
  }
}
