/*
 * account_name: a user name for a user id without one, as in a container that runs under an arbitrary id.
 *
 * In:      a user id. Out: a passwd entry "kannon" of that id.
 * PostgreSQL's initdb does not run without a user name. This library replaces getpwuid(3) in it, where the C library
 * finds no entry. It depends on no library itself.
 */
#define _DEFAULT_SOURCE
#include <pwd.h>

struct passwd *getpwuid(uid_t id)
{
    static struct passwd account = {.pw_name = "kannon", .pw_passwd = "", .pw_gecos = "", .pw_dir = "/", .pw_shell = ""};
    account.pw_uid = id;
    return &account;
}
