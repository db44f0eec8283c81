#include "cli/child_program.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>

#include "base/fd.h"
#include "base/scope_exit.h"

namespace gantry::cli {

namespace {

constexpr size_t kLongestLine = size_t{1} << 20;

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> list;
  for (std::string& text : texts) list.push_back(text.data());
  list.push_back(nullptr);
  return list;
}

Result<pid_t> start(const ChildProgram& child, int output) {
  std::vector<std::string> words = {child.program.native()};
  words.insert(words.end(), child.arguments.begin(), child.arguments.end());
  std::vector<std::string> variables;
  for (const auto& [name, value] : child.environment) variables.push_back(name + "=" + value);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  const ScopeExit clean_up([&] { posix_spawn_file_actions_destroy(&actions); });
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, 1);
  if (child.quiet) posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  pid_t pid = 0;
  const int failed =
      ::posix_spawn(&pid, child.program.c_str(), &actions, nullptr, pointers(words).data(), pointers(variables).data());
  if (failed != 0) return Error::from_errno(failed, "run", child.program.native());
  return pid;
}

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

Result<> read_lines(int fd, const std::function<Result<>(std::string_view)>& on_line) {
  std::string rest;
  char buffer[16384];
  for (;;) {
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    rest.append(buffer, static_cast<size_t>(got));
    size_t begin = 0;
    for (size_t end = rest.find('\n'); end != std::string::npos; end = rest.find('\n', begin)) {
      if (end > begin) TRY(on_line(std::string_view(rest).substr(begin, end - begin)));
      begin = end + 1;
    }
    rest.erase(0, begin);
    if (rest.size() > kLongestLine) return invalid("it wrote a line of more than a megabyte");
  }
  return rest.empty() ? Result<>() : on_line(rest);
}

}  // namespace

Result<int> run_child(const ChildProgram& child, const std::function<Result<>(std::string_view)>& on_line) {
  Pipe output = TRY(make_pipe());
  const pid_t pid = TRY(start(child, output.write.get()));
  output.write.reset();
  Result<> read = read_lines(output.read.get(), on_line);
  if (!read.ok()) ::kill(pid, SIGTERM);
  output.read.reset();  // nobody reads on: a program that goes on writing ends
  const int status = wait_for(pid);
  if (!read.ok()) return std::move(read).error();
  return status;
}

}  // namespace gantry::cli
