#include "engine/build/remote_source.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <ctime>

#include "base/strings.h"
#include "engine/image/digest.h"
#include "engine/image/http_client.h"

namespace gantry::engine {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostOutput = size_t{1} << 20;

bool is_http(const std::string& source) { return source.starts_with("http://") || source.starts_with("https://"); }

// "git@host:x", "git://…", "ssh://…", "https://…/x.git[#…]"
bool is_git(const std::string& source) {
  if (source.starts_with("git@") || source.starts_with("git://") || source.starts_with("ssh://")) return true;
  const std::string path = source.substr(0, source.find_first_of("#?"));
  return is_http(source) && path.ends_with(".git");
}

// Runs git; returns what it wrote. What the repository says is never run: no hooks, no other transports.
Result<std::string> git(const std::vector<std::string>& words, const CancelCheck& cancelled) {
  std::vector<std::string> line = {"git", "-c", "core.hooksPath=/dev/null", "-c", "protocol.ext.allow=never", "-c",
                                   "advice.detachedHead=false"};
  line.insert(line.end(), words.begin(), words.end());
  std::vector<char*> arguments;
  for (std::string& word : line) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  std::vector<std::string> variables = {"GIT_TERMINAL_PROMPT=0", "GIT_ALLOW_PROTOCOL=http:https:ssh:git",
                                        "GIT_CONFIG_NOSYSTEM=1", "HOME=/nonexistent",
                                        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                                        "GIT_SSH_COMMAND=ssh -o BatchMode=yes"};
  for (const char* name : {"http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}) {
    if (const char* value = getenv(name)) variables.push_back(std::string(name) + "=" + value);
  }
  std::vector<char*> environment;
  for (std::string& variable : variables) environment.push_back(variable.data());
  environment.push_back(nullptr);
  Pipe output = TRY(make_pipe());
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output.write.get(), 1);
  posix_spawn_file_actions_adddup2(&actions, output.write.get(), 2);
  pid_t pid = 0;
  const int failed = posix_spawnp(&pid, "git", &actions, nullptr, arguments.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return unsupported("Git sources need the program git on the daemon's machine: install it");
  output.write.reset();
  std::string text;
  bool killed = false;
  while (true) {
    pollfd wanted{.fd = output.read.get(), .events = POLLIN, .revents = 0};
    poll(&wanted, 1, 200);  // CancelCheck can only be asked
    if (!killed && cancelled && cancelled()) {
      killed = true;
      kill(pid, SIGKILL);
    }
    if (wanted.revents == 0) continue;
    std::array<char, 4096> piece{};
    const ssize_t size = read(output.read.get(), piece.data(), piece.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    if (text.size() < kMostOutput) text.append(piece.data(), static_cast<size_t>(size));
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (killed) return Error(Code::cancelled, "the build was cancelled");
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return text;
  return invalid("git " + words.front() + " failed: " + std::string(trim(text)));
}

// "URL#ref:directory", or "URL?branch=…&subdir=…"
RemoteSource parse_git(const std::string& source) {
  RemoteSource git{.kind = RemoteSource::Kind::git};
  const size_t fragment = source.find('#');
  git.url = source.substr(0, fragment);
  if (fragment != std::string::npos) {
    const std::string rest = source.substr(fragment + 1);
    const size_t colon = rest.find(':');
    git.ref = rest.substr(0, colon);
    if (colon != std::string::npos) git.directory = rest.substr(colon + 1);
  }
  const size_t query = git.url.find('?');
  if (query != std::string::npos) {
    for (const std::string& item : split(git.url.substr(query + 1), '&')) {
      const size_t equals = item.find('=');
      const std::string key = item.substr(0, equals);
      const std::string value = equals == std::string::npos ? "" : item.substr(equals + 1);
      if (key == "ref" || key == "branch" || key == "tag") git.ref = value;
      if (key == "subdir") git.directory = value;
      if (key == "checksum" || key == "commit") git.checksum = value;
    }
    git.url.resize(query);
  }
  return git;
}

bool is_commit(const std::string& text) {
  return text.size() == 40 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

Result<RemoteSource> resolve_git(RemoteSource source, const CancelCheck& cancelled) {
  if (source.ref.starts_with('-') || source.url.starts_with('-')) return invalid("invalid Git source");
  if (is_commit(source.ref)) {
    source.identity = source.ref;
  } else {
    const std::string wanted = source.ref.empty() ? "HEAD" : source.ref;
    const std::string answer =
        TRY(git({"ls-remote", "--", source.url, wanted, wanted + "^{}"}, cancelled).within(source.url));
    for (const std::string& line : split(answer, '\n')) {
      const std::string commit = line.substr(0, line.find('\t'));
      if (is_commit(commit)) source.identity = commit;  // a tag's own line comes first, then what it points to
      if (is_commit(commit) && !line.ends_with("^{}") && wanted == "HEAD") break;
    }
    if (source.identity.empty()) {
      return invalid(source.url + ": repository does not contain ref " + wanted);
    }
  }
  if (!source.checksum.empty() && !source.identity.starts_with(source.checksum)) {
    return invalid("expected checksum to match " + source.checksum + ", got " + source.identity);
  }
  return source;
}

Result<> fetch_git(const RemoteSource& source, const fs::path& directory, const CancelCheck& cancelled) {
  const std::string place = directory.string();
  TRY(git({"init", "-q", place}, cancelled));
  const std::string wanted = source.ref.empty() || is_commit(source.ref) ? source.identity : source.ref;
  Result<std::string> fetched =
      git({"-C", place, "fetch", "-q", "--depth", "1", "--", source.url, wanted}, cancelled);
  // Some servers hand out branches and tags only.
  if (!fetched.ok()) {
    fetched = git({"-C", place, "fetch", "-q", "--tags", "--", source.url, "+refs/heads/*:refs/remotes/origin/*"}, cancelled);
  }
  if (!fetched.ok()) return std::move(fetched).error().within(source.url);
  TRY(git({"-C", place, "checkout", "-q", "--detach", source.identity}, cancelled).within(source.url));
  std::error_code error;
  if (!source.keeps_git_dir) fs::remove_all(directory / ".git", error);
  return {};
}

Result<RemoteSource> resolve_url(RemoteSource source, const CancelCheck& cancelled) {
  std::string path = source.url.substr(0, source.url.find_first_of("?#"));
  source.name = path.substr(path.rfind('/') + 1);
  if (path.find('/', path.find("://") + 3) == std::string::npos) source.name.clear();
  if (!source.checksum.empty()) {
    if (!is_sha256_digest(source.checksum)) {
      return invalid("unsupported checksum " + gantry::quoted(source.checksum) + ": use sha256:HEX");
    }
    source.identity = source.checksum;
    return source;
  }
  HttpClient http;
  const HttpRequest request{.method = "HEAD", .url = source.url, .cancelled = cancelled};
  const HttpAnswer answer = TRY(http.send(request));
  if (answer.status == 200 && !(answer.header("etag") + answer.header("last-modified")).empty()) {
    source.identity = "etag " + answer.header("etag") + " " + answer.header("last-modified") + " " +
                      answer.header("content-length");
  } else if (answer.status >= 400 && answer.status != 405 && answer.status != 403 && answer.status != 501) {
    return invalid("invalid response status " + std::to_string(answer.status) + " for " + source.url);
  }
  return source;
}

Result<> fetch_url(const RemoteSource& source, const fs::path& directory, const CancelCheck& cancelled) {
  const fs::path place = directory / source.name;
  const Fd file = TRY(open_file(place, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  Sha256 hash;
  HttpRequest request{.url = source.url, .cancelled = cancelled};
  request.sink = [&](std::string_view piece, int) -> Result<> {
    hash.update(piece);
    return write_all(file.get(), piece);
  };
  HttpClient http;
  const HttpAnswer answer = TRY(http.send(request));
  if (answer.status != 200) {
    return invalid("invalid response status " + std::to_string(answer.status) + " for " + source.url);
  }
  const std::string digest = hash.finish();
  if (!source.checksum.empty() && digest != source.checksum) {
    return invalid("digest mismatch for " + source.url + ": expected " + source.checksum + ", got " + digest);
  }
  tm time{};
  timespec times[2] = {{.tv_sec = 0, .tv_nsec = UTIME_OMIT}, {.tv_sec = 0, .tv_nsec = 0}};
  const std::string modified = answer.header("last-modified");
  if (strptime(modified.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &time) != nullptr) times[1].tv_sec = timegm(&time);
  if (futimens(file.get(), times) != 0) return Error::from_errno(errno, "futimens", place.native());
  return {};
}

}  // namespace

bool is_remote_source(const std::string& source) { return is_http(source) || is_git(source); }

Result<RemoteSource> resolve_remote(const std::string& source, const std::string& checksum, bool keeps_git_dir,
                                    const CancelCheck& cancelled) {
  if (is_git(source)) {
    RemoteSource found = parse_git(source);
    if (!checksum.empty()) found.checksum = checksum;
    found.keeps_git_dir = keeps_git_dir;
    return resolve_git(std::move(found), cancelled);
  }
  if (keeps_git_dir) return invalid("--keep-git-dir is for Git repositories");
  return resolve_url({.url = source, .checksum = checksum}, cancelled);
}

Result<> fetch_remote(const RemoteSource& source, const fs::path& directory, const CancelCheck& cancelled) {
  return source.kind == RemoteSource::Kind::git ? fetch_git(source, directory, cancelled)
                                                : fetch_url(source, directory, cancelled);
}

}  // namespace gantry::engine
