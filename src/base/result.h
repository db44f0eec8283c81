// Errors are values. `Result<T>` is either a T or an Error, and must be looked at; TRY passes an
// error on to the caller, `.within("doing what")` adds what we were doing on the way up.
//
//   Result<Fd> open_config(const std::string& name) {
//     Fd dir = TRY(open_directory("/etc/gantry").within("looking for config " + quoted(name)));
//     return open_at(dir, name, O_RDONLY);
//   }
//
// TRY is a statement expression: use it as a whole initialiser or a whole statement only.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/check.h"

namespace gantry {

// What kind of failure it is. One table maps these to HTTP statuses (daemon/docker/errors.cc) and one to
// exit statuses (cli); the text is for people, the code for programs.
enum class Code {
  internal,          // 500: a failure that has no better name
  invalid,           // 400: the request cannot be meant like this
  not_found,         // 404
  conflict,          // 409: exists already, is in use, is in the wrong state
  not_modified,      // 304: is already as asked
  unauthorized,      // 401
  forbidden,         // 403
  unsupported,       // 501: accepted by others, not built here
  unavailable,       // 503: the other side does not answer
  exhausted,         // 500: no space, no addresses, no descriptors left
  cancelled,         // 499: the caller asked to stop
};

class Error {
 public:
  Error(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  // `call` names the failed call, `object` what it worked on: "openat /etc/x: No such file or directory".
  // Read errno first: pass it by value.
  static Error from_errno(int errno_value, std::string_view call, std::string_view object = {});

  Code code() const { return code_; }
  const std::string& message() const { return message_; }
  int errno_value() const { return errno_value_; }  // 0: not from a system call

  // "context: message"
  Error within(std::string_view context) &&;

  friend bool operator==(const Error&, const Error&) = default;

 private:
  Code code_;
  int errno_value_ = 0;
  std::string message_;
};

inline Error invalid(std::string message) { return {Code::invalid, std::move(message)}; }
inline Error not_found(std::string message) { return {Code::not_found, std::move(message)}; }
inline Error conflict(std::string message) { return {Code::conflict, std::move(message)}; }
inline Error unsupported(std::string message) { return {Code::unsupported, std::move(message)}; }
inline Error internal_error(std::string message) { return {Code::internal, std::move(message)}; }

template <class T = void>
class [[nodiscard]] Result {
 public:
  using Value = T;
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}        // NOLINT: implicit on purpose
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}    // NOLINT
  template <class U>
    requires(std::is_constructible_v<T, U &&> && !std::is_same_v<std::decay_t<U>, Result> &&
             !std::is_same_v<std::decay_t<U>, Error> && std::is_convertible_v<U &&, T>)
  Result(U&& value) : state_(std::in_place_index<0>, std::forward<U>(value)) {}  // NOLINT

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() & { CHECK(ok()); return std::get<0>(state_); }
  const T& value() const& { CHECK(ok()); return std::get<0>(state_); }
  T&& value() && { CHECK(ok()); return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T value_or(T fallback) && { return ok() ? std::get<0>(std::move(state_)) : std::move(fallback); }

  const Error& error() const& { CHECK(!ok()); return std::get<1>(state_); }
  Error&& error() && { CHECK(!ok()); return std::get<1>(std::move(state_)); }

  Result within(std::string_view context) && {
    if (ok()) return std::move(*this);
    return std::get<1>(std::move(state_)).within(context);
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using Value = void;
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit on purpose

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  void value() const { CHECK(ok()); }
  const Error& error() const& { CHECK(!ok()); return *error_; }
  Error&& error() && { CHECK(!ok()); return *std::move(error_); }

  Result within(std::string_view context) && {
    if (ok()) return {};
    return (*std::move(error_)).within(context);
  }

 private:
  std::optional<Error> error_;
};

// Text in double quotes, with quotes, backslashes and control characters escaped: for messages.
std::string quoted(std::string_view text);

}  // namespace gantry

#define TRY(expression)                                                   \
  __extension__({                                                         \
    auto try_result_ = (expression);                                      \
    if (!try_result_.ok()) return std::move(try_result_).error();         \
    std::move(try_result_).value();                                       \
  })
