#include "base/rights.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/uio.h>

namespace gantry {
namespace {

ino_t inode(const Fd& fd) {
  struct stat info{};
  EXPECT_EQ(::fstat(fd.get(), &info), 0);
  return info.st_ino;
}

class Descriptors : public testing::Test {
 protected:
  void send(std::span<const int> fds) {
    char byte = 'x';
    iovec part{&byte, 1};
    msghdr message{.msg_iov = &part, .msg_iovlen = 1};
    DescriptorRoom<3> room;
    room.send(message, fds);
    ASSERT_EQ(::sendmsg(ends_.first.get(), &message, 0), 1);
  }
  template <size_t Most>
  std::vector<Fd> receive(int& flags) {
    char byte = 0;
    iovec part{&byte, 1};
    msghdr message{.msg_iov = &part, .msg_iovlen = 1};
    DescriptorRoom<Most> room;
    room.receive(message);
    EXPECT_EQ(::recvmsg(ends_.second.get(), &message, MSG_CMSG_CLOEXEC), 1);
    flags = message.msg_flags;
    return take_descriptors(message);
  }

 private:
  std::pair<Fd, Fd> ends_ = *make_socket_pair(SOCK_SEQPACKET);
};

TEST_F(Descriptors, ArriveInOrder) {
  const Pipe pipe = *make_pipe();
  const Fd null = *open_file("/dev/null", O_RDONLY);
  const int fds[] = {pipe.read.get(), null.get()};
  send(fds);
  int flags = 0;
  const auto got = receive<3>(flags);
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(inode(got[0]), inode(pipe.read));
  EXPECT_EQ(inode(got[1]), inode(null));
  EXPECT_EQ(flags & MSG_CTRUNC, 0);
}

TEST_F(Descriptors, NoneAreNone) {
  send({});
  int flags = 0;
  EXPECT_TRUE(receive<3>(flags).empty());
  EXPECT_EQ(flags & MSG_CTRUNC, 0);
}

TEST_F(Descriptors, MoreThanThereIsRoomForAreTold) {
  const Fd null = *open_file("/dev/null", O_RDONLY);
  const int fds[] = {null.get(), null.get(), null.get()};
  send(fds);
  int flags = 0;
  EXPECT_LE(receive<1>(flags).size(), 2u);  // rounding leaves room for a second
  EXPECT_NE(flags & MSG_CTRUNC, 0);
}

}  // namespace
}  // namespace gantry
