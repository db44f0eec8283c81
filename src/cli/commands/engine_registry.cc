// gantry login, logout, push: what needs credentials.
#include <termios.h>
#include <unistd.h>

#include "base/scope_exit.h"
#include "base/strings.h"
#include "cli/commands/commands.h"
#include "cli/credentials.h"
#include "cli/image_pull.h"
#include "cli/operation.h"

namespace gantry::cli {

namespace {

constexpr Flag kLoginFlags[] = {
    {.name = "username", .letter = 'u', .kind = FlagKind::text, .value_name = "NAME", .help = "User name"},
    {.name = "password",
     .letter = 'p',
     .kind = FlagKind::text,
     .value_name = "TEXT",
     .help = "Password or token (others on this machine can see it: rather use --password-stdin)"},
    {.name = "password-stdin", .help = "Read the password from standard input"},
};
constexpr Flag kEnginePushFlags[] = {
    {.name = "all-tags", .letter = 'a', .help = "Push every tag of the repository"},
    {.name = "quiet", .letter = 'q', .help = "Don't show progress"},
};

// A line from the terminal, shown or not.
Result<std::string> ask(Session& session, const std::string& question, bool hidden) {
  if (::isatty(session.in) != 1) {
    return invalid("cannot ask for " + question + ": standard input is no terminal (give --username and "
                   "--password-stdin)");
  }
  session.err.write(question + ": ");
  termios before{};
  ::tcgetattr(session.in, &before);
  const ScopeExit restore([&] { ::tcsetattr(session.in, TCSAFLUSH, &before); });
  if (hidden) {
    termios quiet = before;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(session.in, TCSAFLUSH, &quiet);
  }
  std::string line;
  char c = 0;
  while (::read(session.in, &c, 1) == 1 && c != '\n') line += c;
  if (hidden) session.err.write("\n");
  if (line.empty()) return invalid(question + " is empty");
  return line;
}

Result<RegistryLogin> read_login(Session& session, const Arguments& arguments) {
  RegistryLogin login{.user = arguments.text("username"), .password = arguments.text("password")};
  if (arguments.given("password")) {
    if (arguments.on("password-stdin")) return invalid("--password and --password-stdin are mutually exclusive");
    session.warn("Using --password via the CLI is insecure. Use --password-stdin.");
  }
  if (arguments.on("password-stdin")) {
    if (login.user.empty()) return invalid("Must provide --username with --password-stdin");
    login.password = TRY(read_all(session.in, size_t{1} << 20));
    while (login.password.ends_with('\n') || login.password.ends_with('\r')) login.password.pop_back();
  }
  if (login.user.empty()) login.user = TRY(ask(session, "Username", false));
  if (login.password.empty()) login.password = TRY(ask(session, "Password", true));
  return login;
}

Result<int> login(Session& session, const Arguments& arguments) {
  const std::string server =
      arguments.positional().empty() ? server_key("docker.io") : arguments.positional()[0];
  const RegistryLogin given = TRY(read_login(session, arguments));
  client::ApiClient* api = TRY(session.api());
  const std::string body = base64_decode(auth_header(given, server)).value_or("");
  const std::string answer = TRY(TRY(api->request("POST", "/auth", body)).ok_body());
  RegistryLogin kept = given;
  kept.identity_token = parse_identity_token(answer);
  CredentialStore store(session.environment());
  const auto place = TRY(store.store(server, kept));
  if (place == store.file()) {
    session.warn("the password is stored unencrypted in " + place.string() +
                 "; a credential helper (credsStore in that file) keeps it safe");
  }
  session.out.write("Login Succeeded\n");
  return 0;
}

Result<int> logout(Session& session, const Arguments& arguments) {
  const std::string server =
      arguments.positional().empty() ? server_key("docker.io") : arguments.positional()[0];
  CredentialStore store(session.environment());
  const bool was_there = TRY(store.erase(server));
  session.out.write(was_there ? "Removing login credentials for " + server + "\n" : "Not logged in to " + server + "\n");
  return 0;
}

Result<int> push_image(Session& session, const Arguments& arguments) {
  const std::string& image = arguments.positional()[0];
  const auto name = split_reference(image);
  if (arguments.on("all-tags") && name.tag != "<none>") {
    return invalid("tag can't be used with --all-tags/-a");
  }
  client::ApiClient* api = TRY(session.api());
  ProgressStyle style = TRY(session.progress_style("push"));
  if (arguments.on("quiet")) style.mode = ProgressMode::quiet;
  OperationView drawing(style, session);
  const std::string tag = arguments.on("all-tags") ? "" : name.tag == "<none>" ? "latest" : name.tag;
  CredentialStore credentials(session.environment());
  const std::string auth = TRY(credentials.header(registry_of(image)));
  const std::string digest = TRY(push_image(*api, name.repository, tag, auth, drawing.view()));
  drawing.view().finish();
  session.out.write(image + (digest.empty() ? "" : "@" + digest) + "\n");
  return 0;
}

}  // namespace

const Command kEngineLogin{.syntax = {.name = "login",
                                      .arguments = "[SERVER]",
                                      .summary = "Log in to a registry (Docker Hub if none is given)",
                                      .flags = kLoginFlags,
                                      .most_arguments = 1},
                           .run = login};
const Command kEngineLogout{.syntax = {.name = "logout",
                                       .arguments = "[SERVER]",
                                       .summary = "Forget a registry's credentials",
                                       .most_arguments = 1},
                            .run = logout};
const Command kEnginePush{.syntax = {.name = "push",
                                     .arguments = "NAME[:TAG]",
                                     .summary = "Push an image to its registry",
                                     .flags = kEnginePushFlags,
                                     .least_arguments = 1,
                                     .most_arguments = 1},
                          .run = push_image};
}  // namespace gantry::cli
