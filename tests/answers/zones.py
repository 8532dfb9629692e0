"""Zone contents of every shape that a lookup can meet, the same from the same seed.

Text of zone files, names relative to the origin. `shapes` is a zone with one of everything and
many random names; `child` is the zone of a delegation in it that the same servers serve; `tld` is
nearly all delegations.
"""

from __future__ import annotations

import random

CHILDREN = {"kid": True, "plainkid": False}
"""The child zones that are served too, and whether they are signed where the parent is."""

_HEAD = """$TTL 600
@ 3600 SOA ns1 HostMaster 7 3600 900 604800 300
@ NS ns1
@ NS NS2
@ NS ns.outside.example.
ns1 A 192.0.2.1
ns1 AAAA 2001:db8::1
ns2 A 192.0.2.2
"""

_SHAPES = r"""
@ MX 10 mail
@ MX 20 mail.outside.example.
@ TXT "v=spf1 -all"
@ CAA 0 issue "ca.example"
mail A 192.0.2.10
mail AAAA 2001:db8::10
www A 192.0.2.11
www A 192.0.2.12
www AAAA 2001:db8::11
www TXT "text of www" "in two strings"
_sip._tcp SRV 10 60 5060 sip
_sip._tcp SRV 20 60 5060 nothing-there
_xmpp._tcp SRV 10 60 5222 www.wild
sip A 192.0.2.13
sip AAAA 2001:db8::13
svc HTTPS 1 . alpn="h2,h3" ipv4hint=192.0.2.14
svc A 192.0.2.14
alias HTTPS 0 svc
alias SVCB 0 svc
_dns SVCB 1 sip alpn="dot" port="853"
naptr NAPTR 100 10 "u" "E2U+sip" "!^.*$!sip:info@example!" .
rp RP hostmaster www
afs AFSDB 1 afs
afs A 192.0.2.15
ptr PTR WWW
unknown TYPE65280 \# 4 01020304
unknown TYPE65281 \# 0
unknown A 192.0.2.16
mxnowhere MX 10 nothing-there
mxcname MX 10 c1
mxdeleg MX 10 ns.indom
mxwild MX 10 any.wild
mxmany MX 10 mail
mxmany MX 20 www
mxmany MX 30 sip
; case and escapes
MiXeD A 192.0.2.17
UPPER.Case A 192.0.2.18
UPPER.Case TXT "X"
Camel CNAME MiXeD
a\.b A 192.0.2.19
sp\032ace A 192.0.2.20
\000zero A 192.0.2.21
back\\slash A 192.0.2.22
quote\"x A 192.0.2.23
semi\;x A 192.0.2.24
at\@x A 192.0.2.25
\255high A 192.0.2.26
\001low.\255high A 192.0.2.27
; empty non-terminals
a.b.c.d.e.ent A 192.0.2.28
x.c.d.e.ent TXT "x"
only.entns NS ns1
deep.of.dsent TXT "t"
; wildcards
*.wild A 192.0.2.30
*.wild TXT "wild"
sub.wild A 192.0.2.31
x.y.wild A 192.0.2.32
deleg.wild NS ns.deleg.wild
ns.deleg.wild A 192.0.2.33
sdeleg.wild NS ns.outside.example.
sdeleg.wild DS 4242 15 2 B51B3C07D4B0EBB4C2A7B4A5C5A0C5F14C9B2B0D5D1D0A4F5E1A2B3C4D5E6F70
cname.wild CNAME other.wild
dname.wild DNAME target
*.deep.wild TXT "wildcard below a wildcard"
*.wcname CNAME www
*.wcloop CNAME x.wcloop
*.wout CNAME target.outside.example.
*.wnx CNAME nothing-there
*.wmx MX 10 mail
*.wsrv SRV 1 2 3 sip
*.wchain CNAME x.wcname
*.wdel CNAME www.indom
*.wdn CNAME a.dn
*.whttps HTTPS 1 svc
*.sub.*.mid A 192.0.2.34
sub.*.mid TXT "an asterisk in the middle"
*.star A 192.0.2.35
x*.star A 192.0.2.36
\*star A 192.0.2.37
; delegations
indom NS ns.indom
indom NS ns2.sub.indom
indom A 192.0.2.40
indom TXT "occluded at the cut"
ns.indom A 192.0.2.41
ns.indom AAAA 2001:db8::41
ns2.sub.indom A 192.0.2.42
www.indom A 192.0.2.43
sub.indom NS ns.sub.indom
ns.sub.indom A 192.0.2.44
*.indom A 192.0.2.45
c.indom CNAME www
d.indom DNAME target
sibling NS ns.indom
sibling NS ns.sib2
sib2 NS ns.sib2
sib2 NS ns.sibling
ns.sib2 AAAA 2001:db8::46
ns.sibling A 192.0.2.46
selfns NS ns1
selfns NS mail
out NS ns1.outside.example.
out NS ns2.outside.example.
missing NS ns.missing
missing NS ns2.missing
x.y.deepdel NS ns.x.y.deepdel
ns.x.y.deepdel A 192.0.2.47
nsalias NS c1
nswild NS any.wild
; DNAME
target A 192.0.2.50
a.target A 192.0.2.51
b.target CNAME www
c.target CNAME nothing-there
x.ent.target TXT "x"
*.w.target A 192.0.2.52
del.target NS ns.del.target
ns.del.target A 192.0.2.53
dn DNAME target
dn A 192.0.2.54
dn TXT "beside the DNAME"
dn2 DNAME dn
dn3 DNAME dn2
dnout DNAME outside.example.
dnnx DNAME nothing-there
dnloop1 DNAME dnloop2
dnloop2 DNAME dnloop1
dndel DNAME indom
dnkid DNAME kid
dnwild DNAME wild
dnup DNAME @
; CNAMEs
c1 CNAME c2
c2 CNAME c3
c3 CNAME c4
c4 CNAME c5
c5 CNAME c6
c6 CNAME www
loop1 CNAME loop2
loop2 CNAME loop3
loop3 CNAME loop1
self CNAME self
cout CNAME target.outside.example.
cnx CNAME nothing-there
cnx2 CNAME cnx
cdel CNAME www.indom
csig CNAME www.sdel0
ccut CNAME sdel1
cwild CNAME foo.wild
cwildnx CNAME foo.sub.wild
cdn CNAME a.dn
cdnnx CNAME zzz.dn
ckid CNAME www.kid
capex CNAME @
cent CNAME ent
cbig CNAME big
; children served here
kid NS ns.kid
kid NS ns1
ns.kid A 192.0.2.60
plainkid NS ns.plainkid
ns.plainkid A 192.0.2.61
"""

_OCCLUDED = """
x.dn A 192.0.2.70
y.x.dn TXT "below a DNAME"
"""


def shapes(seed: int, hosts: int = 150, occluded: bool = False) -> str:
    """The zone file of one of everything; `occluded` adds data below a DNAME."""
    draw = random.Random(seed)
    lines = [_HEAD, _SHAPES]
    if occluded:
        lines.append(_OCCLUDED)
    for number in range(1, 26):
        lines.append(f"long{number} CNAME long{number + 1}\n")
    lines.append("long26 A 192.0.2.80\n")
    label = "l" * 62
    lines.append(f"{label}.{label}.longtarget A 192.0.2.81\n")
    lines.append(f"dnlong DNAME {label}.{label}.longtarget\n")
    text = " ".join(f'"{draw.choice("abcdef") * 250}"' for _ in range(6))
    lines.append(f"big TXT {text}\n")
    lines.append(f"big.dnsize TXT {text}\n*.wbig TXT {text}\n")
    lines.append('mid TXT "' + '" "'.join("m" * 200 for _ in range(2)) + '"\n')
    for number in range(3):
        lines.append(f'mid2 TXT "{number}{"m" * 150}"\n')
    lines += [f"many A 198.51.100.{number}\n" for number in range(1, 40)]
    lines += [f"many AAAA 2001:db8:1::{number:x}\n" for number in range(1, 91)]
    lines += [f"mxlots MX {number} mxhost{number}\n" for number in range(20)]
    for number in range(20):
        lines.append(f"mxhost{number} A 198.51.100.{number}\n")
        lines.append(f"mxhost{number} AAAA 2001:db8:2::{number:x}\n")
    for number in range(13):
        lines.append(f"bigdel NS ns{number}.bigdel\nns{number}.bigdel A 198.51.100.{number}\n")
        lines.append(f"ns{number}.bigdel AAAA 2001:db8:3::{number:x}\n")
        lines.append(f"midsib NS ns{number}.bigdel\n")
    for number in range(6):
        lines.append(f"middel NS a-rather-long-name-of-a-server{number}.middel\n")
        lines.append(f"a-rather-long-name-of-a-server{number}.middel A 198.51.100.{number}\n")
    for number in range(12):
        lines.append(delegation(draw, f"sdel{number}", signed=True))
        lines.append(delegation(draw, f"idel{number}", signed=False))
    lines += [_host(draw, number) for number in range(hosts)]
    return "".join(lines)


def delegation(draw: random.Random, name: str, *, signed: bool) -> str:
    """A delegation with glue of a random sort, and DS where `signed`."""
    lines = []
    for number in range(draw.randint(1, 3)):
        server = draw.choice([f"ns{number}.{name}", "ns.outside.example.", "ns2", "ns.sib2"])
        lines.append(f"{name} NS {server}\n")
        if server.endswith(name) and draw.random() < 0.8:
            lines.append(f"{server} A 203.0.113.{draw.randrange(256)}\n")
            if draw.random() < 0.5:
                lines.append(f"{server} AAAA 2001:db8:4::{draw.randrange(65536):x}\n")
    for _ in range(draw.randint(1, 2) if signed else 0):
        lines.append(f"{name} DS {draw.randrange(65536)} 15 2 {draw.randbytes(32).hex()}\n")
    return "".join(dict.fromkeys(lines))


def _host(draw: random.Random, number: int) -> str:
    """A name of one to four labels with some records."""
    parts = ["".join(draw.choices("abcxyz-09"[:6], k=draw.randint(1, 5))) for _ in range(3)]
    owner = ".".join([f"h{number}", *parts[: draw.choice([0, 0, 0, 1, 2, 3])]])
    lines = [f"{owner} A 198.18.{number % 256}.{draw.randrange(256)}\n"]
    if draw.random() < 0.4:
        lines.append(f"{owner} AAAA 2001:db8:5::{number:x}\n")
    if draw.random() < 0.3:
        lines.append(f"{owner} MX 10 {draw.choice(['mail', owner, 'www', 'ns.indom'])}\n")
    if draw.random() < 0.3:
        lines.append(f'{owner} TXT "{draw.randrange(10**6)}"\n')
    if draw.random() < 0.1:
        lines.append(f"*.{owner} A 198.18.255.{number % 256}\n")
    return "".join(lines)


def child(seed: int) -> str:
    """A zone with a wildcard at its apex."""
    draw = random.Random(seed)
    lines = [_HEAD, "ns A 192.0.2.60\nwww A 192.0.2.62\n* A 192.0.2.63\n* MX 10 www\n"]
    lines.append("a.b.c TXT x\nsub NS ns.sub\nns.sub A 192.0.2.64\ncn CNAME any\n")
    lines.append(delegation(draw, "ssub", signed=True))
    return "".join(lines)


def tld(seed: int, count: int = 400) -> str:
    """A zone of `count` delegations, one in six signed."""
    draw = random.Random(seed)
    lines = [_HEAD, "sib2 NS ns.sib2\nns.sib2 A 192.0.2.70\n"]
    for number in range(count):
        lines.append(delegation(draw, f"dom{number}", signed=number % 6 == 0))
    return "".join(lines)
