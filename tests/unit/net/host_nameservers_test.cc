#include "net/host_nameservers.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <thread>

#include "base/check.h"

namespace gantry::net {
namespace {

namespace fs = std::filesystem;

std::string addresses_text(const std::vector<IpAddress>& servers) {
  std::string text;
  for (const IpAddress& server : servers) text += (text.empty() ? "" : " ") + server.to_string();
  return text;
}

TEST(HostNameservers, AreReadAsTheCLibraryReadsThem) {
  EXPECT_EQ(addresses_text(parse_nameservers("# nameserver 1.1.1.1\n"
                                             "nameserver 10.0.0.1\n"
                                             "  nameserver\t10.0.0.2   # the other\n"
                                             "nameserver fe80::1%eth0\n"
                                             "nameservers 10.0.0.3\n"
                                             "nameserver ten\nnameserver\n"
                                             "search example.org\r\n"
                                             "nameserver 10.0.0.4")),
            "10.0.0.1 10.0.0.2 fe80::1 10.0.0.4");
}

class WatchTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/gantry-nameservers-XXXXXX";
    CHECK(::mkdtemp(name) != nullptr);
    directory_ = name;
    file_ = directory_ / "resolv.conf";
    CHECK(write_file(file_, "nameserver 10.0.0.1\n").ok());
  }
  void TearDown() override { fs::remove_all(directory_); }

  // What is read at the first notice of `change` after which the file says `wanted`.
  template <class F>
  std::string after(const std::string& wanted, F change) {
    EventLoop loop;
    std::string seen;
    std::thread thread([&] {
      NameserverWatch watch(loop, file_, [&] {
        seen = addresses_text(host_nameservers(file_));
        if (seen == wanted) loop.stop();
      });
      auto deadline = loop.after(std::chrono::seconds(10), [&] { loop.stop(); });
      loop.post([&] { change(); });
      loop.run();
      loop.cancel(deadline);
    });
    thread.join();
    return seen;
  }
  fs::path directory_;
  fs::path file_;
};

TEST_F(WatchTest, SeesAFileWrittenInPlace) {
  EXPECT_EQ(after("10.0.0.2", [&] { CHECK(write_file(file_, "nameserver 10.0.0.2\n").ok()); }), "10.0.0.2");
}

TEST_F(WatchTest, SeesAFileReplacedAndItsSuccessorWritten) {
  EXPECT_EQ(after("10.0.0.3",
                  [&] {
                    CHECK(write_file(directory_ / "new", "nameserver 10.0.0.3\n").ok());
                    fs::rename(directory_ / "new", file_);
                  }),
            "10.0.0.3");
}

TEST_F(WatchTest, FollowsALink) {
  fs::path real = directory_ / "real";
  fs::create_directory(real);
  CHECK(write_file(real / "stub", "nameserver 10.0.0.1\n").ok());
  fs::remove(file_);
  fs::create_symlink("real/stub", file_);
  EXPECT_EQ(after("10.0.0.5",
                  [&] {
                    CHECK(write_file(real / "new", "nameserver 10.0.0.5\n").ok());
                    fs::rename(real / "new", real / "stub");
                  }),
            "10.0.0.5");
}

}  // namespace
}  // namespace gantry::net
