#include "daemon/relay.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

namespace gantry::daemon {
namespace {

TEST(FrameFilter, LetsWantedStreamsThroughInWhateverPieces) {
  const std::string all = frame(Stream::out, "one") + frame(Stream::err, "two") + frame(Stream::out, "three");
  for (size_t piece = 1; piece <= all.size(); ++piece) {
    FrameFilter filter(true, false);
    std::string passed;
    for (size_t at = 0; at < all.size(); at += piece) passed += filter.pass(std::string_view(all).substr(at, piece));
    EXPECT_EQ(passed, frame(Stream::out, "one") + frame(Stream::out, "three")) << piece;
  }
}

TEST(DetachKeys, AreHeldBackUntilItIsClearWhatTheyMean) {
  auto keys = DetachKeys::parse("");
  ASSERT_TRUE(keys.ok());
  bool detached = false;
  EXPECT_EQ(keys->pass("a\x10", detached), "a");
  EXPECT_EQ(keys->pass("b", detached),
            "\x10"
            "b");
  EXPECT_FALSE(detached);
  EXPECT_EQ(keys->pass("c\x10\x11rest", detached), "c");
  EXPECT_TRUE(detached);
}

TEST(DetachKeys, RefusesWordsThatAreNoKeys) {
  const auto keys = DetachKeys::parse("ctrl-p,foo");
  ASSERT_FALSE(keys.ok());
  EXPECT_EQ(keys.error().message(), "Invalid detach keys (ctrl-p,foo) provided");
}

struct Pair {
  Fd ours;
  Fd theirs;
};
Pair sockets() {
  auto pair = make_socket_pair(SOCK_STREAM);
  return {std::move(pair->first), std::move(pair->second)};
}

TEST(Relay, GoesOnSendingOutputAfterTheClientHasClosedItsSide) {
  Pair client = sockets();
  auto output = make_pipe();
  auto input = make_pipe();
  Relay relay;
  relay.client = client.ours.get();
  relay.read_ahead = "early ";
  relay.outputs.push_back({.fd = output->read.get(), .transform = {}});
  relay.input = input->write.get();
  relay.end_input = [&] { input->write.reset(); };
  Relay::End end{};
  std::thread session([&] {
    end = relay.run();
    client.ours.reset();
  });
  ASSERT_TRUE(write_all(client.theirs.get(), "typed").ok());
  ::shutdown(client.theirs.get(), SHUT_WR);
  EXPECT_EQ(*read_all(input->read.get()), "early typed");
  ASSERT_TRUE(write_all(output->write.get(), "said later").ok());
  output->write.reset();
  EXPECT_EQ(*read_all(client.theirs.get()), "said later");
  session.join();
  EXPECT_EQ(end, Relay::End::output_ended);
}

TEST(Relay, EndsWhenTheClientIsGoneAltogether) {
  Pair client = sockets();
  auto output = make_pipe();
  Relay relay;
  relay.client = client.ours.get();
  relay.outputs.push_back({.fd = output->read.get(), .transform = {}});
  std::thread session([&] { EXPECT_EQ(relay.run(), Relay::End::client_gone); });
  client.theirs.reset();
  session.join();
}

TEST(Relay, InputFlowsWhileTheClientHasReadNothing) {
  Pair client = sockets();
  auto output = make_pipe();
  auto input = make_pipe();
  ASSERT_TRUE(write_all(client.ours.get(), "the head").ok());
  Relay relay;
  relay.client = client.ours.get();
  relay.outputs.push_back({.fd = output->read.get(), .transform = {}});
  relay.input = input->write.get();
  relay.end_input = [&] { input->write.reset(); };
  std::thread session([&] { EXPECT_EQ(relay.run(), Relay::End::output_ended); });
  ASSERT_TRUE(write_all(client.theirs.get(), "typed").ok());
  ::shutdown(client.theirs.get(), SHUT_WR);
  EXPECT_EQ(*read_all(input->read.get()), "typed");
  char buffer[64];
  EXPECT_EQ(::read(client.theirs.get(), buffer, sizeof buffer), 8);
  output->write.reset();
  session.join();
}

TEST(Relay, CarriesMoreThanTheBuffersHold) {
  Pair client = sockets();
  auto output = make_pipe();
  Relay relay;
  relay.client = client.ours.get();
  relay.outputs.push_back({.fd = output->read.get(), .transform = {}});
  std::thread session([&] {
    relay.run();
    client.ours.reset();
  });
  const std::string much(8 << 20, 'x');
  std::thread program([&] {
    (void)write_all(output->write.get(), much).ok();
    output->write.reset();
  });
  EXPECT_EQ(read_all(client.theirs.get())->size(), much.size());
  program.join();
  session.join();
}

}  // namespace
}  // namespace gantry::daemon
