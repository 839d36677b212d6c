// Calls of gRPC C++: client PORT
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

using grpc::ByteBuffer;

std::unique_ptr<grpc::GenericStub> stub;

ByteBuffer pack(const std::string& text) {
  grpc::Slice slice(text);
  return ByteBuffer(&slice, 1);
}

std::string unpack(const ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string text;
  if (buffer.Dump(&slices).ok())
    for (auto& slice : slices) text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return text;
}

struct Answer {
  grpc::Status status;
  std::string text;
};

Answer unary(const std::string& method, const std::string& body, grpc::ClientContext& context) {
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  Answer answer;
  ByteBuffer request = pack(body), response;
  stub->UnaryCall(&context, "/test.Service/" + method, {}, &request, &response, [&](grpc::Status status) {
    std::lock_guard<std::mutex> lock(mutex);
    answer.status = status;
    done = true;
    changed.notify_one();
  });
  std::unique_lock<std::mutex> lock(mutex);
  changed.wait(lock, [&] { return done; });
  answer.text = unpack(response);
  return answer;
}

Answer unary(const std::string& method, const std::string& body) {
  grpc::ClientContext context;
  return unary(method, body, context);
}

class Stream : public grpc::ClientBidiReactor<ByteBuffer, ByteBuffer> {
 public:
  Stream(std::atomic<int>& answered, std::atomic<int>& ended) : answered_(answered), ended_(ended) {
    request_ = pack("a");
    stub->PrepareBidiStreamingCall(&context_, "/test.Service/Both", {}, this);
    StartWrite(&request_);
    StartRead(&response_);
    StartCall();
  }
  void OnReadDone(bool ok) override {
    if (ok && unpack(response_) == "aa") answered_++;
  }
  void OnDone(const grpc::Status& status) override {
    if (status.ok()) good = true;
    ended_++;
  }
  bool good = false;

 private:
  grpc::ClientContext context_;
  ByteBuffer request_, response_;
  std::atomic<int>&answered_, &ended_;
};

template <typename Condition>
void until(Condition condition) {
  for (int tries = 0; tries < 6000 && !condition(); tries++)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
}

int main(int, char** arguments) {
  grpc::ChannelArguments channel;
  channel.SetMaxReceiveMessageSize(-1);
  channel.SetMaxSendMessageSize(-1);
  channel.SetInt(GRPC_ARG_MAX_METADATA_SIZE, 200 * 1024);
  stub.reset(new grpc::GenericStub(grpc::CreateCustomChannel(
      "127.0.0.1:" + std::string(arguments[1]), grpc::InsecureChannelCredentials(), channel)));
  std::cout << "echo " << unary("Unary", "ab").text << "\n";
  std::cout << "large " << unary("Length", std::string(100 << 20, 0)).text << "\n";
  {
    grpc::ClientContext context;
    context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
    std::cout << "gzip " << unary("Length", std::string(1000000, 0), context).text << "\n";
  }
  auto failed = unary("Unary", "abort").status;
  std::cout << "abort " << failed.error_code() << " " << failed.error_message() << "\n";
  std::cout << "unknown " << unary("Nothing", "").status.error_code() << "\n";
  {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(300));
    std::cout << "deadline " << unary("Wait", "", context).status.error_code() << "\n";
  }
  {
    grpc::ClientContext context;
    std::thread later([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      context.TryCancel();
    });
    std::cout << "cancel " << unary("Wait", "", context).status.error_code() << "\n";
    later.join();
  }
  {
    grpc::ClientContext context;
    context.AddMetadata("x-question", std::string(100000, 'v'));
    auto code = unary("Unary", "ab", context).status.error_code();
    auto found = context.GetServerTrailingMetadata().find("x-answer");
    size_t size = found == context.GetServerTrailingMetadata().end() ? 0 : found->second.size();
    std::cout << "metadata " << code << " " << size << "\n";
  }
  std::atomic<int> answered{0}, ended{0};
  std::vector<std::unique_ptr<Stream>> streams;
  for (int number = 0; number < 1000; number++) streams.emplace_back(new Stream(answered, ended));
  until([&] { return answered == 1000; });
  for (auto& stream : streams) stream->StartWritesDone();
  until([&] { return ended == 1000; });
  int good = 0;
  for (auto& stream : streams) good += stream->good;
  std::cout << "streams " << good << std::endl;
  std::_Exit(0);
}
