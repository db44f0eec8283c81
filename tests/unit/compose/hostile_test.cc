// Files of 10 MB that are made to cost: each is loaded or refused within a gigabyte, and what is said about it is short.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "unit/compose/load_fixture.h"

namespace gantry::compose {
namespace {

constexpr size_t kBytes = 10'000'000;
constexpr size_t kMostSaid = 200'000;  // a hundred errors of a few lines each

std::string repeated(std::string_view piece) {
  std::string out(piece);
  while (out.size() < kBytes / 2) out += out;
  return out + out;
}

std::string numbered(const std::function<std::string(const std::string&)>& line) {
  std::string out;
  for (int i = 0; out.size() < kBytes; ++i) out += line(std::to_string(i));
  return out;
}

struct HostileCase {
  const char* name;
  std::function<std::string()> text;
};

std::string service(const std::string& rest) { return "services:\n  a:\n    image: x\n" + rest; }
std::string label(const std::string& value) { return service("    labels:\n      a: " + value); }

std::string nested_defaults() {
  std::string out;
  for (size_t i = 0; i < kBytes / 6; ++i) out += "${A:-";
  return out + std::string(kBytes / 6, '}');
}

std::string laughs() {
  std::string out = "x-a: &a [lol]\n";
  for (char c = 'b'; c <= 'z'; ++c) {
    out += std::string("x-") + c + ": &" + c + " [";
    for (int i = 0; i < 9; ++i) out += std::string(i > 0 ? ", *" : "*") + static_cast<char>(c - 1);
    out += "]\n";
  }
  return out;
}

std::string merge_chain() {
  std::string out = "x-0: &m0 {a: 1}\n";
  for (int i = 1; out.size() < kBytes; ++i) {
    const std::string n = std::to_string(i);
    out += "x-" + n + ": &m" + n + "\n  <<: *m" + std::to_string(i - 1) + "\n  k" + n + ": v\n";
  }
  return out;
}

const HostileCase kHostileCases[] = {
    {"nested lists", [] { return "x-a: " + repeated("["); }},
    {"nested mappings", [] { return "x-a: " + repeated("{a: "); }},
    {"nested block lists", [] { return "x-a:\n" + repeated("- "); }},
    {"complex keys", [] { return "x-a:\n " + repeated("? "); }},
    {"one text", [] { return label(repeated("x")); }},
    {"a quote that never ends", [] { return label("\"" + repeated("x\n")); }},
    {"comments", [] { return service(repeated("# hello\n")); }},
    {"spaces", [] { return service(repeated(" ")); }},
    {"tabs", [] { return service(repeated("\t")); }},
    {"zero bytes", [] { return service(std::string(kBytes, '\0')); }},
    {"one key many times", [] { return "services:\n" + repeated("  a: {image: x}\n"); }},
    {"unknown keys", [] { return service(numbered([](auto& n) { return "    k" + n + ": 1\n"; })); }},
    {"services", [] { return "services:\n" + numbered([](auto& n) { return "  s" + n + ": {image: x}\n"; }); }},
    {"ports", [] { return service("    ports:\n" + repeated("      - \"80:80\"\n")); }},
    {"ranges of ports", [] { return service("    ports:\n" + repeated("      - \"1-65535:1-65535\"\n")); }},
    {"nested defaults", [] { return label(nested_defaults()); }},
    {"a variable many times", [] { return label(repeated("${A}")); }},
    {"variables", [] { return label(numbered([](auto& n) { return "${A" + n + "}"; })); }},
    {"dollars", [] { return label(repeated("$")); }},
    {"anchors", [] { return "x-a:\n" + numbered([](auto& n) { return "  - &a" + n + " x\n"; }); }},
    {"aliases", [] { return "x-a: &a [x,x,x,x,x,x,x,x]\nx-b:\n" + repeated("  - *a\n"); }},
    {"aliases of aliases", laughs},
    {"a chain of merges", merge_chain},
    {"a list of merges", [] { return "x-0: &m0 {a: 1}\nx-1:\n  <<: [" + repeated("*m0, ") + "*m0]\n"; }},
    {"documents", [] { return repeated("---\nservices: {}\n"); }},
    {"tags", [] { return "a: " + repeated("!"); }},
    {"directives", [] { return repeated("%"); }},
    {"bytes that are no UTF-8", [] { return label(repeated("\xff")); }},
    {"a long key", [] { return service(repeated("k") + ": 1\n"); }},
    {"a width", [] { return label(">" + repeated("9")); }},
};

// In the child: 0 if all is well, else what is not.
int load_within_limits(LoadFixture& fixture) {
  const rlimit gigabyte{1 << 30, 1 << 30};
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  ::setrlimit(RLIMIT_AS, &gigabyte);
#endif
  const LoadResult result = fixture.load();
  size_t said = 0;
  for (const Diagnostic& diagnostic : result.diagnostics) said += render(diagnostic, result.texts).size();
  if (!result.ok() && said == 0) return 1;
  return said > kMostSaid ? 2 : 0;
}

TEST(Hostile, TenMegabytesAreLoadedOrRefusedWithinAGigabyteAndInFewWords) {
  for (const HostileCase& hostile : kHostileCases) {
    LoadFixture fixture;
    fixture.write("compose.yaml", hostile.text());
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) ::_exit(load_within_limits(fixture));
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0) << hostile.name << ": "
                         << (WIFSIGNALED(status) ? "killed" : WEXITSTATUS(status) == 1 ? "refused without a word" : "too many words");
  }
}

}  // namespace
}  // namespace gantry::compose
