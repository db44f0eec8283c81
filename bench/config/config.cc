// What `compose config` costs, against yaml-cpp reading the same bytes, from 200 to 2,000 services.
//
//   bench_config [COMPOSE_BINARY]
//
// Each round measures everything once, so that a slow minute of the machine hits all alike; the least of the rounds
// counts. With a binary, the whole process is measured, too: the least CPU time (user and system together, which the kernel
// counts exactly), and the mean user time (the kernel tells the two apart by samples).
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>

#include "compose/load.h"

namespace {

// About thirty lines a service, with what real files have: anchors, variables, both syntaxes.
std::string project_of(int services) {
  std::string out = "name: bench\nx-logging: &logging\n  driver: local\n  options:\n    max-size: 10m\n    max-file: \"3\"\nservices:\n";
  for (int i = 0; i < services; ++i) {
    std::string n = std::to_string(i);
    out += "  service" + n + ":\n    image: registry.example.com/team/service" + n + ":${TAG:-1.4.2}\n"
           "    command: [\"serve\", \"--port\", \"8080\"]\n    restart: unless-stopped\n"
           "    environment:\n      NAME: service" + n + "\n      LOG_LEVEL: info\n"
           "      DATABASE_URL: postgres://user:secret@database" + n + ":5432/data\n      FEATURES: \"a,b,c\"\n"
           "    ports:\n      - \"" + std::to_string(10000 + i) + ":8080\"\n      - target: 9090\n        protocol: tcp\n"
           "    volumes:\n      - data" + n + ":/var/lib/data\n      - ./config/" + n + ":/etc/service:ro\n"
           "    networks:\n      - front\n      - back\n"
           "    labels:\n      com.example.team: team-" + std::to_string(i % 7) + "\n      com.example.index: \"" + n + "\"\n"
           "    logging: *logging\n    healthcheck:\n      test: [\"CMD\", \"curl\", \"-f\", \"http://localhost:8080/health\"]\n"
           "      interval: 10s\n      timeout: 3s\n      retries: 5\n";
    if (i > 0) out += "    depends_on:\n      service" + std::to_string(i / 2) + ":\n        condition: service_healthy\n";
  }
  out += "networks:\n  front:\n  back:\n    internal: true\nvolumes:\n";
  for (int i = 0; i < services; ++i) out += "  data" + std::to_string(i) + ":\n";
  return out;
}

template <class F>
double milliseconds(F work) {
  auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

gantry::compose::LoadOptions options_for(const std::string& directory) {
  gantry::compose::LoadOptions options;
  options.working_dir = directory;
  options.environment = {{"HOME", "/root"}};
  options.print_json = false;
  return options;
}

struct Cost {
  double user = 0;  // milliseconds
  double all = 0;   // with the system's
  bool good = false;
};

// One `compose config`.
Cost process(const char* binary, const std::string& directory) {
  rusage before{}, after{};
  getrusage(RUSAGE_CHILDREN, &before);
  pid_t child = fork();
  if (child == 0) {
    int null = open("/dev/null", O_WRONLY);
    dup2(null, 1);
    if (chdir(directory.c_str()) == 0) execl(binary, "compose", "config", nullptr);
    _exit(127);
  }
  int status = 0;
  waitpid(child, &status, 0);
  getrusage(RUSAGE_CHILDREN, &after);
  auto ms = [](const timeval& t) { return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_usec) / 1e3; };
  const double user = ms(after.ru_utime) - ms(before.ru_utime);
  return {.user = user, .all = user + ms(after.ru_stime) - ms(before.ru_stime), .good = status == 0};
}

}  // namespace

int main(int argc, char** argv) {
  constexpr std::array kSizes = {200, 500, 1000, 2000};
  std::printf("services   lines      yaml-cpp          load      ratio   process: CPU      user\n");
  for (int size : kSizes) {
    char directory[] = "/tmp/bench-config-XXXXXX";
    if (mkdtemp(directory) == nullptr) return 1;
    std::string text = project_of(size), file = std::string(directory) + "/compose.yaml";
    std::ofstream(file) << text;
    double yaml = 1e9, load = 1e9, all = 1e9, user = 0;
    bool good = true;
    const int rounds = size > 500 ? 7 : 15;
    for (int round = 0; round < rounds; ++round) {
      yaml = std::min(yaml, milliseconds([&] { YAML::Load(text); }));
      load = std::min(load, milliseconds([&] { good = gantry::compose::load(options_for(directory)).ok() && good; }));
      if (argc <= 1) continue;
      const Cost cost = process(argv[1], directory);
      all = std::min(all, cost.all);
      user += cost.user / rounds;
      good = cost.good && good;
    }
    auto lines = std::count(text.begin(), text.end(), '\n');
    std::printf("%8d %7ld %10.1f ms %10.1f ms %9.2f", size, static_cast<long>(lines), yaml, load, load / yaml);
    if (argc > 1) std::printf("   %8.1f ms %6.1f ms", all, user);
    std::printf("%s\n", good ? "" : "   FAILED");
    unlink(file.c_str());
    rmdir(directory);
    if (!good) return 1;
  }
}
