/*
 * account_name: a name for a user who has none, such as that of a container started under any user id.
 *
 * In:      a user id. Out: the account "kannon" of that id, whatever it is.
 * It is loaded into PostgreSQL's initdb, which does not run without a name and then hardly uses it, in place of the
 * C library's look-up where that finds nothing. Refuses to need any library itself.
 */
#define _DEFAULT_SOURCE
#include <pwd.h>

struct passwd *getpwuid(uid_t id)
{
    static struct passwd account = {.pw_name = "kannon", .pw_passwd = "", .pw_gecos = "", .pw_dir = "/", .pw_shell = ""};
    account.pw_uid = id;
    return &account;
}
