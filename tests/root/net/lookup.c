/* What the C library's resolver makes of a name, for containers of the tests: built with glibc and with musl.
 *
 *   lookup NAME [4|6]     the addresses, sorted, in one line; or the error: NONAME, NODATA, AGAIN, FAIL
 *   lookup -r ADDRESS     the name
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { MOST = 256, TEXT = 64 };

static const char *name_of(int error) {
  switch (error) {
    case EAI_NONAME: return "NONAME";
    case EAI_AGAIN: return "AGAIN";
    case EAI_FAIL: return "FAIL";
#ifdef EAI_NODATA
    case EAI_NODATA: return "NODATA";
#endif
    default: return gai_strerror(error);
  }
}

static int compare(const void *a, const void *b) { return strcmp(a, b); }

static int forward(const char *name, int family) {
  struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM};
  struct addrinfo *list = NULL;
  int error = getaddrinfo(name, NULL, &hints, &list);
  if (error != 0) {
    puts(name_of(error));
    return 1;
  }
  static char found[MOST][TEXT];
  size_t count = 0;
  for (struct addrinfo *one = list; one != NULL && count < MOST; one = one->ai_next) {
    getnameinfo(one->ai_addr, one->ai_addrlen, found[count++], TEXT, NULL, 0, NI_NUMERICHOST);
  }
  qsort(found, count, TEXT, compare);
  for (size_t i = 0; i < count; ++i) printf("%s%s", i == 0 ? "" : " ", found[i]);
  puts("");
  return 0;
}

static int reverse(const char *text) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  struct sockaddr_in6 address6 = {.sin6_family = AF_INET6};
  const int v4 = inet_pton(AF_INET, text, &address.sin_addr) == 1;
  if (!v4 && inet_pton(AF_INET6, text, &address6.sin6_addr) != 1) return 2;
  char name[1024];
  int error = v4 ? getnameinfo((struct sockaddr *)&address, sizeof address, name, sizeof name, NULL, 0, NI_NAMEREQD)
                 : getnameinfo((struct sockaddr *)&address6, sizeof address6, name, sizeof name, NULL, 0, NI_NAMEREQD);
  puts(error == 0 ? name : name_of(error));
  return error != 0;
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "-r") == 0) return reverse(argv[2]);
  if (argc == 2) return forward(argv[1], AF_UNSPEC);
  if (argc == 3) return forward(argv[1], argv[2][0] == '6' ? AF_INET6 : AF_INET);
  fputs("usage: lookup NAME [4|6] | lookup -r ADDRESS\n", stderr);
  return 2;
}
