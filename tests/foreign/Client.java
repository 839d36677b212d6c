// Calls of grpc-java: java Client PORT
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.Context;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.StreamObserver;
import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;

public class Client {
  static final Metadata.Key<String> QUESTION = Metadata.Key.of("x-question", Metadata.ASCII_STRING_MARSHALLER);
  static final Metadata.Key<String> ANSWER = Metadata.Key.of("x-answer", Metadata.ASCII_STRING_MARSHALLER);
  static ManagedChannel channel;

  static final MethodDescriptor.Marshaller<byte[]> RAW =
      new MethodDescriptor.Marshaller<byte[]>() {
        public InputStream stream(byte[] value) {
          return new ByteArrayInputStream(value);
        }

        public byte[] parse(InputStream stream) {
          try {
            return stream.readAllBytes();
          } catch (java.io.IOException error) {
            throw new RuntimeException(error);
          }
        }
      };

  static MethodDescriptor<byte[], byte[]> method(String name, MethodDescriptor.MethodType type) {
    return MethodDescriptor.<byte[], byte[]>newBuilder()
        .setType(type)
        .setFullMethodName("test.Service/" + name)
        .setRequestMarshaller(RAW)
        .setResponseMarshaller(RAW)
        .build();
  }

  static byte[] unary(String name, byte[] body, CallOptions options) {
    return ClientCalls.blockingUnaryCall(channel, method(name, MethodDescriptor.MethodType.UNARY), options, body);
  }

  static Status status(String name, byte[] body, CallOptions options) {
    try {
      unary(name, body, options);
    } catch (StatusRuntimeException error) {
      return error.getStatus();
    }
    return Status.OK;
  }

  public static void main(String[] arguments) throws Exception {
    channel =
        NettyChannelBuilder.forAddress("127.0.0.1", Integer.parseInt(arguments[0]))
            .usePlaintext()
            .maxInboundMessageSize(1 << 30)
            .maxInboundMetadataSize(1 << 20)
            .build();
    CallOptions plain = CallOptions.DEFAULT;
    System.out.println("echo " + new String(unary("Unary", "ab".getBytes(), plain)));
    System.out.println("large " + new String(unary("Length", new byte[100 << 20], plain)));
    System.out.println("gzip " + new String(unary("Length", new byte[1000000], plain.withCompression("gzip"))));
    Status failed = status("Unary", "abort".getBytes(), plain);
    System.out.println("abort " + failed.getCode().value() + " " + failed.getDescription());
    System.out.println("unknown " + status("Nothing", new byte[0], plain).getCode().value());
    CallOptions soon = plain.withDeadlineAfter(300, TimeUnit.MILLISECONDS);
    System.out.println("deadline " + status("Wait", new byte[0], soon).getCode().value());
    Context.CancellableContext context = Context.current().withCancellation();
    new Thread(
            () -> {
              try {
                Thread.sleep(200);
              } catch (InterruptedException error) {
                return;
              }
              context.cancel(null);
            })
        .start();
    System.out.println(
        "cancel " + context.call(() -> status("Wait", new byte[0], plain)).getCode().value());
    char[] long_ = new char[100000];
    Arrays.fill(long_, 'v');
    Metadata sent = new Metadata();
    sent.put(QUESTION, new String(long_));
    AtomicReference<Metadata> headers = new AtomicReference<>(), trailers = new AtomicReference<>();
    ClientInterceptor attach = MetadataUtils.newAttachHeadersInterceptor(sent);
    ClientInterceptor capture = MetadataUtils.newCaptureMetadataInterceptor(headers, trailers);
    ClientCalls.blockingUnaryCall(
        io.grpc.ClientInterceptors.intercept(channel, attach, capture),
        method("Unary", MethodDescriptor.MethodType.UNARY), plain, "ab".getBytes());
    System.out.println("metadata 0 " + trailers.get().get(ANSWER).length());
    AtomicInteger good = new AtomicInteger();
    CountDownLatch answered = new CountDownLatch(1000), ended = new CountDownLatch(1000);
    List<StreamObserver<byte[]>> streams = new ArrayList<>();
    for (int number = 0; number < 1000; number++) {
      ClientCall<byte[], byte[]> call =
          channel.newCall(method("Both", MethodDescriptor.MethodType.BIDI_STREAMING), plain);
      streams.add(
          ClientCalls.asyncBidiStreamingCall(
              call,
              new StreamObserver<byte[]>() {
                public void onNext(byte[] value) {
                  if (new String(value).equals("aa")) answered.countDown();
                }

                public void onError(Throwable error) {
                  ended.countDown();
                }

                public void onCompleted() {
                  good.incrementAndGet();
                  ended.countDown();
                }
              }));
      streams.get(number).onNext("a".getBytes());
    }
    answered.await(60, TimeUnit.SECONDS);
    for (StreamObserver<byte[]> stream : streams) stream.onCompleted();
    ended.await(60, TimeUnit.SECONDS);
    System.out.println("streams " + good.get());
    channel.shutdownNow();
    System.exit(0);
  }
}
