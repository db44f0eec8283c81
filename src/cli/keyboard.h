// Single keys of the terminal while a command is attached: no Enter is needed and nothing is echoed, but Ctrl-C and
// Ctrl-Z go on to mean what they always mean. The terminal is as before when the object is gone.
#pragma once

#include <termios.h>

#include <functional>
#include <thread>

#include "base/fd.h"

namespace gantry::cli {

class Keyboard {
 public:
  // `typed` is called on a thread of its own.
  Keyboard(int terminal, std::function<void(char)> typed);
  ~Keyboard();
  Keyboard(const Keyboard&) = delete;

 private:
  void read_keys();

  int terminal_;
  std::function<void(char)> typed_;
  termios saved_{};
  bool changed_ = false;
  Pipe stop_;
  std::thread thread_;
};

}  // namespace gantry::cli
