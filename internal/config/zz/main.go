package main
import ("fmt";"errors";"bytes";"io";yaml "go.yaml.in/yaml/v4")
func main(){
 for _,s:=range []string{"a: 1\nb: é: x\n","é: [1,\n","a:\n\tb: 1\n","a: \"x\u0085y\"\nb: [","a: x\u2028c: d\nb: [","é: {ü: ñ, q: 1}\n","a: *x\n","a: &x [*x]\n","a: 1\n---\nb: 2\n","","# c\n","---\n","a: !!foo 1\nb: 2024-01-01\nc: 0777\nd: yes\n? [1]\n: 2\n<<: {}\n","a: \x1b\n","%YAML 1.1\n---\na: 1\n", "a: |\n  hi\n  there\nb: 'x\n  y'\n","a: b\na: c","a: 'x","a: x\rb: y\r", "a: b: c\nd: %x\n@: 1","!!str a: 1\n"} {
  l,err:=yaml.NewLoader(bytes.NewReader([]byte(s)))
  if err!=nil {fmt.Println(err);continue}
  var n yaml.Node
  err=l.Load(&n)
  fmt.Printf("--- %q err=%v\n",s,err)
  var le *yaml.LoadError; var les *yaml.LoadErrors
  if errors.As(err,&le){fmt.Printf("LE msg=%q mark=%+v ctx=%q %+v\n",le.Message,le.Mark,le.ContextMsg,le.ContextMark)}
  if errors.As(err,&les){fmt.Printf("LES\n")}
  dump(&n,0)
  if err==nil { var m yaml.Node; err=l.Load(&m); fmt.Println("second", err==io.EOF, err, m.Line, m.Column)}
 }
}
func dump(n *yaml.Node,d int){ if d>6||n==nil{return}; fmt.Printf("%*s%v %d:%d tag=%s val=%q style=%v\n",d*2,"",n.Kind,n.Line,n.Column,n.Tag,n.Value,n.Style); for _,c:=range n.Content{dump(c,d+1)}}
