// Where text goes: standard output or error, with what has to be known about it. Unbuffered; one write per call,
// so that lines of several threads do not mix. A closed pipe ends the program by SIGPIPE, as for other tools.
#pragma once

#include <string_view>

namespace gantry::cli {

struct TerminalSize {
  int columns = 80;
  int rows = 24;
};

class Output {
 public:
  explicit Output(int fd) : fd_(fd) {}
  void write(std::string_view text) const;
  bool is_terminal() const;
  TerminalSize size() const;  // 80 x 24 when it is no terminal
  int fd() const { return fd_; }

 private:
  int fd_;
};

}  // namespace gantry::cli
