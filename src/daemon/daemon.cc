#include "daemon/daemon.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <thread>

#include "base/executable.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/random.h"
#include "base/remove_tree.h"
#include "base/tasks.h"
#include "compose/controller.h"
#include "daemon/api_handler.h"
#include "daemon/event_hub.h"
#include "daemon/hang_up.h"
#include "daemon/hook_runner.h"
#include "daemon/http_server.h"
#include "daemon/instance_lock.h"
#include "daemon/loaded_files.h"
#include "daemon/project_store.h"
#include "daemon/tls_front.h"
#include "daemon/world.h"
#include "engine/local_engine.h"

namespace gantry::daemon {
namespace {

constexpr unsigned kWorkers = 8;
constexpr const char* kGroup = "gantry";

Result<> make_directory(const std::filesystem::path& path, mode_t mode) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return internal_error("cannot make directory " + gantry::quoted(path.native()) + ": " + error.message());
  if (::chmod(path.c_str(), mode) != 0) return Error::from_errno(errno, "chmod", path.native());
  return {};
}

// A UUID that stays with the data root.
Result<std::string> daemon_id(const std::filesystem::path& data_root, Random& random) {
  const std::filesystem::path file = data_root / "daemon-id";
  if (Result<std::string> kept = read_file(file, 100); kept.ok() && kept->size() == 36) return kept;
  std::string id = random_hex(random, 16);
  for (const size_t dash : {8, 13, 18, 23}) id.insert(dash, "-");
  TRY(replace_file(file, id, 0600, true));
  return id;
}

// What builds and uploads of an earlier life left half-done.
Result<> clear_temporary(const Roots& roots) {
  (void)remove_tree(roots.data / "tmp").ok();
  return make_directory(roots.data / "tmp", 0700);
}

Result<std::unique_ptr<engine::LocalEngine>> open_engine(const DaemonOptions& options, EventLoop& loop, Tasks& tasks,
                                                         Random& random) {
  std::filesystem::path shim = TRY(find_program("gantry-shim"));
  std::filesystem::path dns = TRY(find_program("gantry-dns"));
  engine::LocalEngine::Options engine_options{.data_root = options.roots.data,
                                              .run_root = options.roots.run,
                                              .shim_executable = std::move(shim),
                                              .dns_executable = std::move(dns),
                                              .address_pools = options.address_pools,
                                              .registries = options.registries};
  return engine::LocalEngine::open(std::move(engine_options), loop, tasks, random);
}

// A tenth of the file system.
uint64_t default_cache_size(const Roots& roots) {
  std::error_code error;
  const std::filesystem::space_info space = std::filesystem::space(roots.data, error);
  return error ? UINT64_MAX : space.capacity / 10;
}

// Everything that lives between start and stop, built up and torn down in this order.
class Daemon {
 public:
  explicit Daemon(const DaemonOptions& options) : options_(options), tasks_(loop_, kWorkers) {}

  // On the loop's thread, before it runs: replies that the parts ask for come once it does.
  Result<> start() {
    started_at_ = loop_.clock().wall();
    TRY(clear_temporary(options_.roots));
    const std::string id = TRY(daemon_id(options_.roots.data, random_));
    engine_ = TRY(open_engine(options_, loop_, tasks_, random_));
    engine_->builder().limit_cache(options_.build_cache_bytes.value_or(default_cache_size(options_.roots)));
    store_ = std::make_unique<DatabaseProjectStore>(
        engine_->database(), engine::LogArchive(options_.roots.data / "logs"), options_.roots.data / "tmp", tasks_);
    TRY(store_->remove_stray_logs());
    events_ = std::make_unique<EventHub>(*engine_);
    controller_ = std::make_unique<compose::Controller>(*engine_, loop_, random_, *store_);
    engine_->keep_logs_of([this](const std::string& project) { return controller_->find(project) != nullptr; });
    controller_->run_commands_by(make_hook_runner(*engine_, tasks_));
    TRY(controller_->resume());
    world_.reset(new World{.loop = loop_,
                           .engine = *engine_,
                           .images = engine_->images(),
                           .build = [&builder = engine_->builder()](
                                        const auto& request, const auto& progress,
                                        const auto& cancelled) { return builder.build(request, progress, cancelled); },
                           .controller = *controller_,
                           .events = *events_,
                           .hang_ups = hang_ups_,
                           .roots = options_.roots,
                           .daemon_id = id,
                           .started_at = started_at_});
    server_ = std::make_unique<HttpServer>(make_api_handler(*world_, options_.registries));
    for (const std::string& address : options_.tcp_addresses) {
      fronts_.push_back(TRY(TlsFront::open(address, options_.tls, options_.socket_path)));
    }
    Fd listening = TRY(listen_unix(options_.socket_path, kGroup));
    TRY(server_->serve(std::move(listening)));
    for (const auto& front : fronts_) {
      front->serve();
      log_info("listening on " + front->address() + " for clients with a certificate");
    }
    return {};
  }

  void run() {
    const SignalWatcher terminate(loop_, SIGTERM, [this] { stop("SIGTERM"); });
    const SignalWatcher interrupt(loop_, SIGINT, [this] { stop("SIGINT"); });
    loop_.run();
    if (stopper_.joinable()) stopper_.join();
  }

  ~Daemon() {
    fronts_.clear();
    server_.reset();
    if (engine_) engine_->keep_logs_of({});
    controller_.reset();
    events_.reset();
    engine_.reset();
  }

 private:
  // The connections' threads may wait for the loop, so they are ended from a thread of their own while it runs on.
  void stop(const char* why) {
    if (stopper_.joinable()) return;
    log_info(std::string("stopping: ") + why);
    stopper_ = std::thread([this] {
      ::unlink(options_.socket_path.c_str());
      for (const auto& front : fronts_) front->stop();
      server_->stop();
      loop_.post([this] { controller_->shut_down([this] { engine_->shut_down([this] { loop_.stop(); }); }); });
    });
  }

  const DaemonOptions& options_;
  SystemRandom random_;
  EventLoop loop_;
  ThreadPool tasks_;
  HangUpWatcher hang_ups_;
  WallTime started_at_{};
  std::unique_ptr<engine::LocalEngine> engine_;
  std::unique_ptr<DatabaseProjectStore> store_;
  std::unique_ptr<EventHub> events_;
  std::unique_ptr<compose::Controller> controller_;
  std::unique_ptr<World> world_;
  std::unique_ptr<HttpServer> server_;
  std::vector<std::unique_ptr<TlsFront>> fronts_;
  std::thread stopper_;
};

// Whoever started us waits for this, and reads until the end.
void tell(int ready_fd, const std::string& text) {
  if (ready_fd < 0) return;
  (void)write_all(ready_fd, text).ok();  // whoever asked may have gone: the daemon serves others, too
  ::close(ready_fd);
}

Result<> prepare(const DaemonOptions& options) {
  if (::geteuid() != 0)
    return Error(Code::forbidden, "the Gantry daemon needs root: containers are made of mounts and namespaces");
  TRY(make_directory(options.roots.data, 0710));
  TRY(make_directory(options.roots.run, 0711));
  return {};
}

// None of those that our parent ignores: containers' programs begin with what we ignore, but for what a shim ignores itself.
void set_ignored_signals() {
  for (int number = 1; number < NSIG; ++number) {
    struct sigaction action {};
    if (::sigaction(number, nullptr, &action) == 0 && action.sa_handler == SIG_IGN) std::signal(number, SIG_DFL);
  }
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGHUP, SIG_IGN);
}

}  // namespace

Result<> run_daemon(const DaemonOptions& options) {
  set_ignored_signals();
  Result<> prepared = prepare(options);
  Result<Fd> lock = prepared.ok() ? lock_instance(options.roots.data) : Result<Fd>(prepared.error());
  if (!lock.ok()) {
    tell(options.ready_fd, "error: " + lock.error().message() + "\n");
    return std::move(lock).error();
  }
  if (fault_setting() != nullptr) {
    log_warning("GANTRY_FAULT is set, for tests: daemon or shim will kill itself at " + gantry::quoted(fault_setting()));
  }
  Daemon daemon(options);
  if (Result<> started = daemon.start(); !started.ok()) {
    tell(options.ready_fd, "error: " + started.error().message() + "\n");
    return started;
  }
  log_info("ready on unix://" + options.socket_path + ", data root " + options.roots.data.native());
  tell(options.ready_fd, "ready\n");
  give_back_loaded_tables();
  daemon.run();
  log_info("stopped");
  return {};
}

}  // namespace gantry::daemon
